/** One row of the log: its number, its time, its text. */

import { parse } from "./ansi.js";
import { renderSegments } from "./logtext.js";

// Of a long line this much is shown; the rest on request. A row of a megabyte freezes the page.
export const SHOWN_CHARS = 4096;

/**
 * @param {import("./lines.js").LineStore} store
 * @param {number} line
 * @param {RegExp | null} highlight
 * @param {number} since Unix ms that times are counted from, or 0: the time of day
 */
export function renderLine(store, line, highlight, since) {
  const { segments } = parse(store.text(line), store.style(line));
  const at = store.time(line);
  const row = renderRow(line, segments, { highlight, time: since ? elapsed(at - since) : clock(at) });
  row.classList.add(`is-${store.stream(line)}`);
  const length = segments.reduce((sum, segment) => sum + segment.text.length, 0);
  const hidden = Math.max(0, length - SHOWN_CHARS) + (store.dropped.get(line) ?? 0);
  if (hidden) row.lastElementChild?.append(moreButton(hidden));
  return row;
}

/**
 * @param {number} line
 * @param {import("./ansi.js").Segment[]} segments
 * @param {{highlight?: RegExp | null, time?: string}} [options]
 */
export function renderRow(line, segments, { highlight = null, time = "" } = {}) {
  const row = document.createElement("div");
  row.className = "log-row";
  row.dataset.line = String(line);
  row.append(lineLink(line + 1), part("log-time", time), part("log-text", ""));
  row.lastElementChild?.append(renderSegments(segments, { limit: SHOWN_CHARS, highlight }));
  return row;
}

/** @param {string} name @param {string} text */
function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** Leads to the line from elsewhere. With the keyboard, what is found by searching is in the address. @param {number} number */
function lineLink(number) {
  const link = document.createElement("a");
  link.className = "log-number";
  link.href = `#L${number}`;
  link.tabIndex = -1;
  link.textContent = String(number);
  return link;
}

/** @param {number} hidden */
function moreButton(hidden) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "log-more";
  button.textContent = `Show all (${hidden.toLocaleString("en")} more characters)`;
  return button;
}

/** 07:45:12.345, in the reader's own time zone. @param {number} at */
function clock(at) {
  const time = new Date(at);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const ms = String(time.getMilliseconds()).padStart(3, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${ms}`;
}

/** +0:12.345 or +1:02:03.456. @param {number} ms */
export function elapsed(ms) {
  const rest = Math.max(0, ms);
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  const hours = Math.floor(rest / 3_600_000);
  const minutes = (rest % 3_600_000) / 60_000;
  const seconds = `${two((rest % 60_000) / 1000)}.${String(rest % 1000).padStart(3, "0")}`;
  return hours ? `+${hours}:${two(minutes)}:${seconds}` : `+${Math.floor(minutes)}:${seconds}`;
}
