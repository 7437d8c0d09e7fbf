/**
 * The command palette: pages and actions, which the page knows, and what the server finds by name. A combobox
 * with a listbox (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/): the focus stays in the field, the chosen
 * option is its active descendant. All of it is text; nothing becomes HTML.
 */

import { count } from "./format.js";
import { ranked } from "./ranking.js";

const PAUSE_MS = 120; // of typing, before the server is asked
const ANSWER_LIMIT_MS = 10_000;
const AWAY = "The server cannot be reached. Pages and actions are listed all the same.";

/**
 * @typedef {{label: string, hint?: string, keys?: string, href?: string, icon?: string, presses?: string}} Entry
 * @typedef {{title: string, entries: Entry[]}} Group
 */

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("palette"));
const field = /** @type {HTMLInputElement} */ (dialog.querySelector("[role=combobox]"));
const list = /** @type {HTMLElement} */ (dialog.querySelector("[role=listbox]"));
const empty = /** @type {HTMLElement} */ (dialog.querySelector("[data-palette-empty]"));
const said = /** @type {HTMLElement} */ (dialog.querySelector("[data-palette-said]"));
const own = [
  { title: "Go to", entries: sections() },
  { title: "Do", entries: actions() },
];
let asked = new AbortController();
let timer = 0;
/** @type {Group[]} what the server found last */
let found = [];

export function open() {
  if (document.querySelector("dialog[open]")) return;
  document.getElementById("sidebar")?.hidePopover?.();
  dialog.showModal();
  field.value = "";
  found = [];
  narrow();
}

/** @returns {Entry[]} */
function sections() {
  const links = /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(".sidebar-nav a"));
  return [...links].map((link) => {
    const href = link.getAttribute("href") ?? "";
    return { label: (link.textContent ?? "").trim(), keys: link.dataset.key, href, icon: href };
  });
}

/** @returns {Entry[]} */
function actions() {
  const template = /** @type {HTMLTemplateElement} */ (dialog.querySelector("[data-palette-actions]"));
  return [...template.content.querySelectorAll("a")].map((link) => ({
    label: link.textContent ?? "",
    href: link.getAttribute("href") ?? undefined,
    icon: link.dataset.icon,
    presses: link.dataset.presses,
  }));
}

/** To what the field says: at once what the page knows, then what the server does. */
function narrow() {
  found = narrowed(found); // what an earlier answer holds may still fit
  list.replaceChildren(); // other words, another choice
  show();
  clearTimeout(timer);
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  timer = setTimeout(() => ask(signal), field.value ? PAUSE_MS : 0);
}

/** @param {AbortSignal} signal of a newer question */
async function ask(signal) {
  const address = `${dialog.dataset.href}?${new URLSearchParams({ q: field.value })}`;
  try {
    const limit = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const response = await fetch(address, { signal: AbortSignal.any([signal, limit]) });
    if (response.redirected) return location.reload(); // signed out
    if (!response.ok) throw new Error(response.statusText);
    /** @type {{title: string, section: string, entries: Entry[]}[]} */
    const groups = (await response.json()).groups;
    if (signal.aborted) return;
    found = groups.map(({ title, section, entries }) => ({
      title,
      entries: entries.map((entry) => ({ ...entry, icon: section })),
    }));
    show();
  } catch {
    if (signal.aborted) return;
    found = [];
    show();
    said.textContent = AWAY;
  }
}

/** @param {Group[]} groups */
function narrowed(groups) {
  return groups.map(({ title, entries }) => ({ title, entries: ranked(entries, field.value) }));
}

function show() {
  const all = field.value.trim() ? [...narrowed(own), ...found] : [...found, ...own];
  const before = chosen()?.dataset.key;
  list.replaceChildren(...all.filter(({ entries }) => entries.length).map(group));
  const shown = options();
  choose(shown.find((option) => option.dataset.key === before) ?? shown[0]);
  empty.hidden = shown.length > 0;
  said.textContent = shown.length ? count(shown.length, "result", "results") : "Nothing found";
}

/** @param {Group} shown @param {number} at */
function group({ title, entries }, at) {
  const box = element("div", "palette-group");
  const head = element("p", "palette-title", title);
  head.id = `palette-group-${at}`;
  box.setAttribute("role", "group");
  box.setAttribute("aria-labelledby", head.id);
  box.append(head, ...entries.map((entry, number) => option(entry, `palette-${at}-${number}`)));
  return box;
}

/** @param {Entry} entry @param {string} id */
function option({ label, hint, keys, href, icon, presses }, id) {
  const line = /** @type {HTMLAnchorElement} */ (element("a", "palette-option"));
  line.id = id;
  line.tabIndex = -1;
  line.setAttribute("role", "option");
  line.setAttribute("aria-selected", "false");
  line.dataset.key = href ?? presses;
  if (href) line.href = href;
  if (presses) line.dataset.presses = presses;
  const picture = icon && document.querySelector(`.sidebar-nav a[href="${CSS.escape(icon)}"] svg`)?.cloneNode(true);
  line.append(picture || element("span", "palette-gap"), element("span", "truncate", label));
  if (hint) line.append(element("span", "palette-hint", hint));
  if (keys) line.append(shortcut(keys));
  return line;
}

/** For the eye: read out with the label it would be noise. @param {string} keys with spaces between */
function shortcut(keys) {
  const box = element("span", "palette-hint");
  box.setAttribute("aria-hidden", "true");
  box.append(...keys.split(" ").map((key) => element("kbd", "", key)));
  return box;
}

/** @param {string} name @param {string} className @param {string} [text] */
function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

const options = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=option]")]);
const chosen = () => /** @type {HTMLElement | null} */ (list.querySelector("[aria-selected=true]"));

/** @param {HTMLElement | undefined} next */
function choose(next) {
  chosen()?.setAttribute("aria-selected", "false");
  next?.setAttribute("aria-selected", "true");
  next?.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", next?.id ?? "");
}

/** @param {1 | -1} direction */
function step(direction) {
  const all = options();
  const at = all.indexOf(/** @type {HTMLElement} */ (chosen()));
  choose(all[(at + direction + all.length) % all.length]);
}

field.addEventListener("input", narrow);
field.addEventListener("keydown", (event) => {
  if (event.isComposing) return; // the keys are those of who chooses a word to write
  if (event.key === "ArrowDown") step(1);
  else if (event.key === "ArrowUp") step(-1);
  else if (event.key === "Enter") chosen()?.click();
  else return;
  event.preventDefault();
});
list.addEventListener("mousemove", ({ target }) => {
  const under = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest("[role=option]"));
  if (under && under !== chosen()) choose(under);
});
list.addEventListener("click", (event) => {
  const picked = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[role=option]"));
  if (!picked || event.ctrlKey || event.metaKey) return; // into a tab of its own
  dialog.close();
  const { presses } = picked.dataset;
  if (presses) /** @type {HTMLElement | null} */ (document.querySelector(presses))?.click();
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
