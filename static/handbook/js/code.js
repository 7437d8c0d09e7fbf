/** Blocks of code: a button that copies, and groups of them as tabs. */

const KEY = "mags-docs-tab";
const SHOWN_MS = 1600;

export function setUpCode() {
  for (const block of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-code]"))) {
    addCopyButton(block);
  }
  const groups = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-code-group]")]);
  const shows = groups.map((group, number) => tabbed(group, number, chosen));
  chosen(remembered());

  /** Every group that has it shows the tab that was chosen in one. @param {string} name */
  function chosen(name) {
    for (const show of shows) show(name);
    for (const anchor of document.querySelectorAll(".anchor")) anchor.removeAttribute("data-copied");
  }

  for (const anchor of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(".anchor"))) {
    anchor.addEventListener("click", () => copy(anchor.href, "Link copied"));
  }
}

/** @param {HTMLElement} block */
function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "code-copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy the code");
  button.addEventListener("click", async () => {
    await copy(textOf(block), "Copied");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), SHOWN_MS);
  });
  block.append(button);
}

/** What one would type: without prompts, and of a session at a prompt without what was answered. @param {HTMLElement} block */
function textOf(block) {
  const code = /** @type {HTMLElement} */ (block.querySelector("code")?.cloneNode(true));
  for (const said of code.querySelectorAll(".t-gp, .t-go")) said.remove();
  return code.textContent?.trim() ?? "";
}

/** @param {string} text @param {string} said */
async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text); // plain HTTP on another host than this one has no clipboard API
  }
  const toast = document.getElementById("toast");
  if (toast) toast.textContent = said;
}

/** @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * @param {HTMLElement} group @param {number} number @param {(name: string) => void} chosen
 * @returns {(name: string) => void} shows the tab of that name, if there is one
 */
function tabbed(group, number, chosen) {
  const blocks = /** @type {HTMLElement[]} */ ([...group.querySelectorAll("[data-tab]")]);
  const list = document.createElement("div");
  list.className = "code-tabs";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Language");
  const tabs = blocks.map((block, index) => {
    block.id = `code-${number}-${index}`;
    block.setAttribute("role", "tabpanel");
    block.setAttribute("aria-label", block.dataset.tab ?? "");
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = block.dataset.tab ?? "";
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", block.id);
    list.append(tab);
    return tab;
  });
  group.prepend(list);
  group.classList.add("is-tabbed");

  /** @param {HTMLButtonElement} tab */
  const choose = (tab) => {
    const top = group.getBoundingClientRect().top;
    chosen(tab.textContent ?? "");
    scrollBy(0, group.getBoundingClientRect().top - top); // groups above may have another height now
    remember(tab.textContent ?? "");
  };
  list.addEventListener("click", (event) => {
    const tab = /** @type {Element} */ (event.target).closest("button");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });

  /** @param {number} at */
  const show = (at) => {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === at));
      tab.tabIndex = index === at ? 0 : -1;
      blocks[index].hidden = index !== at;
    });
  };
  show(0);
  return (name) => {
    const at = tabs.findIndex((tab) => tab.textContent === name);
    if (at >= 0) show(at);
  };
}

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name */
function remember(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // It holds for this page only.
  }
}
