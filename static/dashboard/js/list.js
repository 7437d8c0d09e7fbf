/** What lists share: htmx, which narrows them and turns their pages, and keys that walk along the rows. */

import htmx from "../../vendor/htmx.js";
import { onKey } from "./keys.js";

// Addresses that people share have no empty parameters.
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters } = /** @type {CustomEvent} */ (event).detail;
  for (const [name, value] of Object.entries(parameters)) {
    if (String(value).trim() === "") delete parameters[name];
  }
});

const rows = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".row-name")]);

/** @param {1 | -1} direction */
function step(direction) {
  const all = rows();
  const active = document.activeElement;
  const at = all.findIndex((name) => name === active || name.closest("tr")?.contains(active));
  all[at < 0 ? (direction > 0 ? 0 : all.length - 1) : at + direction]?.focus();
}

onKey("j", () => step(1));
onKey("k", () => step(-1));
onKey("/", () => document.getElementById("q")?.focus());

export { htmx };
