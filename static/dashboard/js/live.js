/**
 * Keeps a page true. The server renders every page and is the only one who does: when something
 * changed, the page is fetched again and its regions marked `data-live` are swapped.
 */

import { duration, relative } from "./format.js";

const REFRESH_GAP_MS = 400;

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
    await fetchAndSwap();
    await new Promise((resolve) => setTimeout(resolve, REFRESH_GAP_MS));
  }
  isRefreshing = false;
}

async function fetchAndSwap() {
  const address = location.href;
  let response;
  try {
    response = await fetch(address, { headers: { Accept: "text/html" } });
  } catch {
    return; // the server is away; whoever watches it will ask again
  }
  if (address !== location.href) return;
  if (response.redirected) location.reload(); // signed out
  if (response.ok) swap(new DOMParser().parseFromString(await response.text(), "text/html"));
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
  return element.id ? `#${CSS.escape(element.id)}` : element.tagName.toLowerCase();
}

/** Write the times that pass by themselves, and the widths that belong to numbers. */
export function tick() {
  const now = Date.now();
  for (const time of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-relative]"))) {
    write(time, relative(Date.parse(time.dateTime), now));
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
