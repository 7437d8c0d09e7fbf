/** The list of jobs: told of every change over a WebSocket, asking by itself while that is away. */

import { setUpComposer } from "./composer.js";
import { onKey } from "./keys.js";
import { refresh } from "./live.js";
import { Reconnecting } from "./socket.js";

const POLL_MS = 5000;
const TYPING_MS = 180;

const composer = /** @type {HTMLElement} */ (document.querySelector("[data-composer]"));
setUpComposer(composer, document.querySelector("[data-composer-open]"));

const socket = new Reconnecting(() => "/ws/jobs", {
  onMessage: () => refresh(),
  // What changed before the first message, or while the connection was away, shows too.
  onState: () => refresh(),
});
setInterval(() => {
  if (socket.state !== "live" && !document.hidden) refresh();
}, POLL_MS);

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

const links = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".job-name")]);

/** @param {1 | -1} direction */
function step(direction) {
  const all = links();
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  all[at < 0 ? (direction > 0 ? 0 : all.length - 1) : at + direction]?.focus();
}

onKey("j", () => step(1));
onKey("k", () => step(-1));
onKey("/", () => query?.focus());
