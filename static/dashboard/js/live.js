/**
 * Keeps a page true. The server renders every page and is the only one who does: when something
 * changed, the page is fetched again and its regions marked `data-live` are swapped.
 */

import { duration, relative } from "./format.js";

const REFRESH_GAP_MS = 400;
const RETRY_MS = 2000;
const ANSWER_LIMIT_MS = 10_000;

/** @type {Map<string, string>} a region's id -> the HTML the server last sent for it */
const sent = new Map();
let isRefreshing = false;
let isAsked = false;

for (const region of document.querySelectorAll("[data-live]")) sent.set(region.id, region.innerHTML);

/** Fetch the page and swap what changed. Calls during a refresh, and shortly after, become one. */
export async function refresh() {
  isAsked = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isAsked) {
    isAsked = false;
    const isDone = await fetchAndSwap();
    isAsked ||= !isDone;
    await new Promise((resolve) => setTimeout(resolve, isDone ? REFRESH_GAP_MS : RETRY_MS));
  }
  isRefreshing = false;
}

/** False if the server was away: then it is asked again. */
async function fetchAndSwap() {
  const address = location.href;
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const response = await fetch(address, { headers: { Accept: "text/html" }, signal });
    if (response.redirected) location.reload(); // signed out
    else if (response.status >= 500) return false;
    else if (response.ok && address === location.href) {
      swap(new DOMParser().parseFromString(await response.text(), "text/html"));
    }
    return true;
  } catch {
    return false;
  }
}

/** @param {Document} fresh */
function swap(fresh) {
  for (const region of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-live]"))) {
    const next = fresh.getElementById(region.id);
    if (!next || sent.get(region.id) === next.innerHTML) continue;
    sent.set(region.id, next.innerHTML);
    const active = document.activeElement;
    const focused = active && region.contains(active) ? focusKey(active) : "";
    region.replaceChildren(...next.childNodes);
    if (next.dataset.title) document.title = next.dataset.title;
    if (focused) /** @type {HTMLElement | null} */ (region.querySelector(focused))?.focus();
  }
  tick();
}

/** Finds the same control in the fresh HTML. @param {Element} element */
function focusKey(element) {
  const href = element.getAttribute("href");
  if (href) return `a[href="${CSS.escape(href)}"]`;
  const called = element.getAttribute("data-href");
  if (called) return `[data-href="${CSS.escape(called)}"]`;
  return element.id ? `#${CSS.escape(element.id)}` : element.tagName.toLowerCase();
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

tick();
setInterval(tick, 1000);
