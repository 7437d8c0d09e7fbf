/** Choosing several rows of a list: `x`, a click, shift-click for all between, and a bar that says how many. */

import { count } from "./format.js";
import { onKey } from "./keys.js";

const NAMES_SHOWN = 6;

const boxes = () => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("td.col-choice input")]);
const chosen = () => boxes().filter((box) => box.checked);

/** @param {HTMLElement} bar */
export function setUpChoice(bar) {
  /** @type {HTMLInputElement | null} */
  let last = null;

  function show() {
    const now = chosen();
    bar.hidden = now.length === 0;
    write("[data-chosen-count]", String(now.length));
    write("[data-chosen-words]", count(now.length, "job", "jobs"));
    const all = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-choose-all]"));
    if (!all) return;
    all.checked = now.length > 0 && now.length === boxes().length;
    all.indeterminate = now.length > 0 && !all.checked;
    all.disabled = boxes().length === 0;
  }

  /** @param {HTMLInputElement[]} these @param {boolean} isChosen */
  function choose(these, isChosen) {
    for (const box of these) box.checked = isChosen;
    show();
  }

  /** From the one that was chosen last. @param {HTMLInputElement} box */
  function between(box) {
    const all = boxes();
    const ends = [last ? all.indexOf(last) : -1, all.indexOf(box)].sort((a, b) => a - b);
    return ends[0] < 0 ? [box] : all.slice(ends[0], ends[1] + 1);
  }

  document.addEventListener("click", (event) => {
    const target = /** @type {HTMLInputElement} */ (event.target);
    if (target.matches("[data-choose-all]")) choose(boxes(), target.checked);
    if (target.closest("[data-choose-none]")) choose(boxes(), false);
    if (target.closest("[data-opens='stop-chosen']")) describe();
    if (!target.matches("td.col-choice input")) return;
    choose(event.shiftKey ? between(target) : [target], target.checked);
    last = target;
  });
  onKey("x", () => {
    const box = /** @type {HTMLInputElement | null | undefined} */ (
      document.activeElement?.closest("tr")?.querySelector("td.col-choice input")
    );
    box?.click();
  });
  onKey("Escape", () => choose(boxes(), false));
  // Rows come, go and end.
  new MutationObserver(show).observe(/** @type {Node} */ (document.getElementById("main")), {
    childList: true,
    subtree: true,
  });
  addEventListener("pageshow", show);
  show();
}

/** Say in the dialog what is about to be stopped. */
function describe() {
  const now = chosen();
  const names = now.slice(0, NAMES_SHOWN).map((box) => box.closest("tr")?.querySelector(".row-name")?.textContent ?? "");
  if (now.length > NAMES_SHOWN) names.push(`and ${now.length - NAMES_SHOWN} more`);
  document.querySelector("[data-chosen-names]")?.replaceChildren(...names.map(item));
  /** @type {HTMLInputElement} */ (document.querySelector("[data-query]")).value = location.search;
}

/** @param {string} text */
function item(text) {
  const line = document.createElement("li");
  line.textContent = text;
  return line;
}

/** @param {string} selector @param {string} text */
function write(selector, text) {
  for (const place of document.querySelectorAll(selector)) {
    if (place.textContent !== text) place.textContent = text;
  }
}
