/** Single-key shortcuts, off while somebody types or a dialog is open. */

/** @type {Map<string, () => void>} */
const actions = new Map();
const SEQUENCE_MS = 800;
let prefix = "";
let timer = 0;

/** @param {string} keys one key, or two with a space between @param {() => void} action */
export function onKey(keys, action) {
  actions.set(keys, action);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping()) return;
  const action = actions.get(prefix ? `${prefix} ${event.key}` : event.key);
  const isFirst = !prefix && [...actions.keys()].some((keys) => keys.startsWith(`${event.key} `));
  prefix = isFirst ? event.key : "";
  clearTimeout(timer);
  timer = setTimeout(() => (prefix = ""), SEQUENCE_MS);
  if (!action) return;
  event.preventDefault();
  action();
});

function isTyping() {
  const active = document.activeElement;
  return Boolean(active?.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]"));
}
