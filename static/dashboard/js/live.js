/**
 * Keeps a page true. The server renders every page and is the only one who does: when something changed,
 * the page is fetched again and what differs in its regions marked `data-live` is changed. The value of
 * `data-live` names the topics of `/ws/live` that a region is about; without one it is about everything.
 */

import { showConnection } from "./connection.js";
import { duration, relative } from "./format.js";
import { patch } from "./patch.js";
import { Reconnecting } from "./socket.js";

const REFRESH_GAP_MS = 300;
const RETRY_MS = 2000;
const ANSWER_LIMIT_MS = 10_000;
const POLL_MS = 10_000; // only while nobody tells of changes
const HELD_MS = 250;

let isRefreshing = false;
let isAsked = false;

const regions = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-live]")]);

/** Fetch the page and change what differs. Calls during a refresh, and shortly after, become one. */
export async function refresh() {
  isAsked = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isAsked) {
    await isFree();
    isAsked = false;
    const isDone = await fetchAndPatch();
    isAsked ||= !isDone;
    showConnection({ isReachable: isDone });
    await pause(isDone ? REFRESH_GAP_MS : RETRY_MS * (0.75 + Math.random() / 2));
  }
  isRefreshing = false;
}

/** What somebody is about to confirm is not changed under their hands, and what nobody sees can wait. */
async function isFree() {
  while (document.hidden || document.querySelector("main :popover-open")) await pause(HELD_MS);
}

/** False if the server was away: then it is asked again. */
async function fetchAndPatch() {
  const address = location.href;
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const response = await fetch(address, { headers: { Accept: "text/html" }, signal });
    if (response.redirected) location.reload(); // signed out
    else if (response.status >= 500) return false;
    else if (response.ok) {
      const text = await response.text();
      // A list that was turned meanwhile may have been read before the change: it is fetched too.
      if (address === location.href) patchRegions(new DOMParser().parseFromString(text, "text/html"));
      else isAsked = true;
    }
    return true;
  } catch {
    return false;
  }
}

/** @param {Document} fresh */
function patchRegions(fresh) {
  for (const region of regions()) {
    const next = fresh.getElementById(region.id);
    if (!next) continue;
    patch(region, next);
    if (next.dataset.title) document.title = next.dataset.title;
  }
  tick();
}

/** Write the times that pass by themselves, and the widths that belong to numbers. */
export function tick() {
  const now = Date.now();
  for (const time of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-relative]"))) {
    write(time, relative(Date.parse(time.dateTime), now, time.dataset.relative === "seconds"));
  }
  for (const since of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-since]"))) {
    write(since, duration(now - Date.parse(since.dataset.since ?? "")));
  }
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-share]"))) {
    part.style.flexGrow = String(Number(part.dataset.share) || 0);
  }
}

/** @param {Element} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} ms @returns {Promise<void>} */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether a region is about one of these. @param {string[]} topics */
function concerns(topics) {
  return regions().some(({ dataset: { live } }) => !live || live.split(" ").some((topic) => topics.includes(topic)));
}

const socket = new Reconnecting(() => "/ws/live", {
  onMessage(message) {
    // "ready": what changed before, or while the connection was away, shows too.
    if (message.type === "ready" ? regions().length : concerns(message.changed)) refresh();
  },
  onState(state) {
    showConnection({ isLive: state === "live" });
    // Whether the server is there at all; a session that has ended leads to where one signs in.
    if (state === "reconnecting" || state === "refused") refresh();
  },
});

tick();
setInterval(tick, 1000);
setInterval(() => {
  if (socket.state !== "live") refresh();
}, POLL_MS);
