/**
 * Styled segments as nodes. Text only ever becomes a text node; colours become classes (the theme's
 * sixteen) or properties set through the CSSOM.
 *
 * @typedef {import("./ansi.js").Segment} Segment
 * @typedef {import("./ansi.js").Style} Style
 */

import { BOLD, DEFAULT, DIM, HIDDEN, INVERSE, ITALIC, PLAIN, STRIKE, UNDERLINE, cssColour } from "./ansi.js";

const FLAG_CLASSES = /** @type {const} */ ([
  [BOLD, "sgr-bold"],
  [DIM, "sgr-dim"],
  [ITALIC, "sgr-italic"],
  [UNDERLINE, "sgr-underline"],
  [STRIKE, "sgr-strike"],
  [HIDDEN, "sgr-hidden"],
]);

/**
 * @param {Segment[]} segments
 * @param {{limit?: number, highlight?: RegExp | null}} [options] characters to show at most; what to mark
 * @returns {DocumentFragment}
 */
export function renderSegments(segments, { limit = Infinity, highlight = null } = {}) {
  const fragment = document.createDocumentFragment();
  const marks = highlight ? ranges(segments, limit, highlight) : [];
  let at = 0;
  for (const { text, style } of segments) {
    if (at >= limit) break;
    const shown = text.slice(0, limit - at);
    const target = style === PLAIN ? fragment : styled(style);
    append(target, shown, at, marks);
    if (target !== fragment) fragment.append(target);
    at += text.length;
  }
  return fragment;
}

/** Append text that begins at `start` of the line, marked where a mark covers it. */
function append(
  /** @type {Node & ParentNode} */ target,
  /** @type {string} */ text,
  /** @type {number} */ start,
  /** @type {[number, number][]} */ marks,
) {
  let done = 0;
  for (const [from, to] of marks) {
    const begin = Math.max(from - start, done);
    const end = Math.min(to - start, text.length);
    if (begin >= end) continue;
    if (begin > done) target.append(text.slice(done, begin));
    const mark = document.createElement("mark");
    mark.textContent = text.slice(begin, end);
    target.append(mark);
    done = end;
  }
  if (done < text.length) target.append(text.slice(done));
}

/** Where the highlight matches the line. @returns {[number, number][]} */
function ranges(
  /** @type {Segment[]} */ segments,
  /** @type {number} */ limit,
  /** @type {RegExp} */ highlight,
) {
  const text = segments.map((segment) => segment.text).join("").slice(0, limit);
  /** @type {[number, number][]} */
  const found = [];
  for (const match of text.matchAll(highlight)) {
    if (match[0]) found.push([match.index, match.index + match[0].length]);
  }
  return found;
}

/** @param {Style} style */
function styled({ fg, bg, flags }) {
  const span = document.createElement("span");
  const isInverse = (flags & INVERSE) !== 0;
  if (isInverse) [fg, bg] = [bg, fg];
  if (fg === DEFAULT && isInverse) span.classList.add("sgr-f-inverse");
  else if (fg > 15) span.style.color = cssColour(fg);
  else if (fg >= 0) span.classList.add(`sgr-f${fg}`);
  if (bg === DEFAULT && isInverse) span.classList.add("sgr-b-inverse");
  else if (bg > 15) span.style.backgroundColor = cssColour(bg);
  else if (bg >= 0) span.classList.add(`sgr-b${bg}`);
  for (const [flag, name] of FLAG_CLASSES) if (flags & flag) span.classList.add(name);
  return span;
}
