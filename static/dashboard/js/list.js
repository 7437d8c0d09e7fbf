/** What lists share: a search that narrows while somebody types, and keys that walk along the rows. */

import { onKey } from "./keys.js";
import { refresh } from "./live.js";

const TYPING_MS = 180;

const search = /** @type {HTMLFormElement | null} */ (document.querySelector("[data-search]"));
const query = /** @type {HTMLInputElement | null} */ (document.getElementById("q"));
let typing = 0;
query?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => narrow(query.value), TYPING_MS);
});
search?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  if (query) narrow(query.value);
});

/** @param {string} text */
async function narrow(text) {
  const address = new URL(location.href);
  address.searchParams.delete("page");
  if (text.trim()) address.searchParams.set("q", text.trim());
  else address.searchParams.delete("q");
  history.replaceState(null, "", address);
  await refresh();
}

const links = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".row-name")]);

/** @param {1 | -1} direction */
function step(direction) {
  const all = links();
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  all[at < 0 ? (direction > 0 ? 0 : all.length - 1) : at + direction]?.focus();
}

onKey("j", () => step(1));
onKey("k", () => step(-1));
onKey("/", () => query?.focus());
