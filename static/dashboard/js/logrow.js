/** One row of the log: its number, its time, its text. */

import { parse } from "./ansi.js";
import { renderSegments } from "./logtext.js";

// Of a long line this much is shown; the rest on request. A row of a megabyte freezes the page.
export const SHOWN_CHARS = 4096;

/**
 * @param {import("./lines.js").LineStore} store
 * @param {number} line
 * @param {RegExp | null} highlight
 */
export function renderLine(store, line, highlight) {
  const { segments } = parse(store.texts[line], store.style(line));
  const row = renderRow(line, segments, { highlight, time: clock(store.times[line]) });
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
  row.append(part("log-number", String(line + 1)), part("log-time", time), part("log-text", ""));
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
