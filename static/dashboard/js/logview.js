/**
 * The log on the screen: of any number of lines, only the rows in sight are in the document.
 *
 * The rows sit in a window that sticks to the top of the scrolled box and are moved inside it, so
 * the box scrolls natively (wheel, touch, keys, screen readers) and never shows a blank page.
 */

import { PLAIN, plain } from "./ansi.js";
import { SHOWN_CHARS, renderLine, renderRow } from "./logrow.js";
import { RowIndex, rowCount } from "./rows.js";

// Browsers lose precision and clip boxes beyond about 16 million pixels (Firefox); above this, the
// scrollbar stands for more rows than it has pixels.
const TALLEST_PX = 8_000_000;

const PADDING_PX = 16; // right of the text

/** @typedef {import("./lines.js").LineStore} LineStore */

/** Shows a LineStore in a box. Fires `follow` (follows or not), `open` and `link` (a line). */
export class LogView extends EventTarget {
  /** @param {HTMLElement} box the scrolled element @param {LineStore} store */
  constructor(box, store) {
    super();
    this.box = box;
    this.store = store;
    this.rows = new RowIndex();
    this.isFollowing = true;
    /** @type {RegExp | null} */
    this.highlight = null;
    this.currentLine = -1;
    this.since = 0; // Unix ms that times are counted from, or 0: the time of day
    this.rowPx = this._charPx = this._gutterPx = 0; // measured
    this._top = 0; // px from the top of all rows to the top of the window
    this._scrollTop = 0; // what we last saw or set, to tell a person's scrolling from our own
    this._frame = 0;
    this._settle = 0;
    /** @type {Map<number, HTMLElement>} line -> its row in the document */
    this._shown = new Map();
    this._canvas = element("log-canvas");
    this._window = element("log-window");
    this._body = element("log-rows");
    this._canvas.append(this._window);
    this._window.append(this._body);
    box.replaceChildren(this._canvas);
    this._measure();
    box.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this._body.addEventListener("click", (event) => this._clicked(event));
    new ResizeObserver(() => this._resized()).observe(box);
  }

  /** How high a row is and how wide a character, as the browser really draws them. */
  _measure() {
    const probe = renderRow(0, [{ text: "0".repeat(10), style: PLAIN }]);
    const text = /** @type {HTMLElement} */ (probe.lastElementChild);
    text.classList.add("is-probe"); // as wide as its characters
    this._body.append(probe);
    this.rowPx = probe.getBoundingClientRect().height || 20;
    this._charPx = text.getBoundingClientRect().width / 10 || 8;
    this._gutterPx = text.getBoundingClientRect().left - probe.getBoundingClientRect().left;
    probe.remove();
  }

  /** Lines from here on are new or changed. Cheap: drawing waits for the next frame. @param {number} from */
  changed(from) {
    this.rows.update(this.store.length, from, (line) => this._rowsOf(line));
    for (const line of this._shown.keys()) if (line >= from) this._discard(line);
    this.draw();
  }

  /** The store let go of its oldest lines. What is in sight stays where it is. */
  trimmed() {
    const gone = this.rows.trim(this.store.first);
    for (const line of this._shown.keys()) if (line < this.store.first) this._discard(line);
    this._fit();
    this._moveTo(this._top - gone * this.rowPx);
    this.draw();
  }

  /** The store begins anew. */
  restart() {
    this.rows.first = this.store.first;
    this._relayout(this.store.first);
  }

  /** Stop following. */
  hold() {
    this._setFollowing(false);
  }

  /** Show only these lines, or all of them. The list may grow. @param {number[] | null} lines */
  filter(lines) {
    const line = this.firstLine;
    this.rows.shown = lines;
    this._relayout(line);
  }

  /** @param {boolean} isOn */
  wrap(isOn) {
    const line = this.firstLine;
    this.box.classList.toggle("is-wrapped", isOn);
    this._measure();
    this.rows.columns = isOn ? this._columns() : 0;
    this._relayout(line);
  }

  /** @param {boolean} isOn */
  showTimes(isOn) {
    this.box.classList.toggle("has-times", isOn);
    this.wrap(this.rows.columns > 0); // the text got more or less room
  }

  /** Scroll to a line and mark it. @param {number} line */
  reveal(line) {
    this.currentLine = line;
    this._setFollowing(false);
    const y = this.rows.rowOf(this.rows.positionOf(line)) * this.rowPx;
    if (y < this._top + this.rowPx || y > this._top + this.box.clientHeight - 3 * this.rowPx) {
      this._moveTo(y - this.box.clientHeight / 3);
    }
    this.redraw();
  }

  follow() {
    this._setFollowing(true);
    this.draw();
  }

  /** Draw every row anew (the highlight changed). */
  redraw() {
    for (const line of [...this._shown.keys()]) this._discard(line);
    this.draw();
  }

  draw() {
    this._frame ||= requestAnimationFrame(() => {
      this._frame = 0;
      this._draw();
    });
  }

  _draw() {
    this._fit();
    if (this.isFollowing) this._moveTo(Infinity);
    const first = this.rows.positionAtRow(Math.floor(this._top / this.rowPx));
    const lastRow = Math.ceil((this._top + this.box.clientHeight) / this.rowPx);
    const wanted = [];
    for (let at = first; at < this.rows.count && this.rows.rowOf(at) < lastRow; at += 1) {
      wanted.push(this.rows.lineAt(at));
    }
    this._place(wanted);
    this._body.style.transform = `translateY(${this.rows.rowOf(first) * this.rowPx - this._top}px)`;
    // The widest row seen so far keeps the horizontal scrollbar from jumping about.
    if (!this.rows.columns && this._body.offsetWidth > this._canvas.offsetWidth) {
      this._canvas.style.minWidth = `${this._body.offsetWidth}px`;
    }
  }

  /** The canvas is as tall as its rows, or as browsers allow. */
  _fit() {
    this._canvas.style.height = `${Math.max(Math.min(this.rows.total * this.rowPx, TALLEST_PX), 1)}px`;
  }

  /** Put exactly these rows into the document; rows that stay keep their node (and selection). */
  _place(/** @type {number[]} */ wanted) {
    const keep = new Set(wanted);
    for (const line of [...this._shown.keys()]) if (!keep.has(line)) this._discard(line);
    let before = this._body.firstElementChild;
    for (const line of wanted) {
      let row = this._shown.get(line);
      if (row && row === before) {
        before = row.nextElementSibling;
        continue;
      }
      if (!row) this._shown.set(line, (row = this._render(line)));
      this._body.insertBefore(row, before);
    }
  }

  /** @param {number} line */
  _render(line) {
    const row = renderLine(this.store, line, this.highlight, this.since);
    row.classList.toggle("is-current", line === this.currentLine);
    if (this.rows.columns) row.style.minHeight = `${this._rowsOf(line) * this.rowPx}px`;
    return row;
  }

  /** @param {number} line */
  _rowsOf(line) {
    return rowCount(plain(this.store.text(line)).slice(0, SHOWN_CHARS), this.rows.columns);
  }

  /** @param {number} line */
  _discard(line) {
    this._shown.get(line)?.remove();
    this._shown.delete(line);
  }

  /** The line at the top of the box. */
  get firstLine() {
    const position = this.rows.positionAtRow(Math.floor(this._top / this.rowPx));
    return this.rows.count ? this.rows.lineAt(Math.min(position, this.rows.count - 1)) : 0;
  }

  /** Work the rows out anew and keep a line where it was. @param {number} line */
  _relayout(line) {
    this.rows.reset();
    this.rows.update(this.store.length, this.store.first, (at) => this._rowsOf(at));
    this._canvas.style.minWidth = "";
    this._fit();
    this._moveTo(this.rows.rowOf(this.rows.positionOf(line)) * this.rowPx);
    this.redraw();
  }

  _columns() {
    return Math.max(20, Math.floor((this.box.clientWidth - this._gutterPx - PADDING_PX) / this._charPx));
  }

  _resized() {
    if (this.rows.columns && this._columns() !== this.rows.columns) this.wrap(true);
    else this.draw();
  }

  get _topMax() {
    return Math.max(0, this.rows.total * this.rowPx - this.box.clientHeight);
  }

  get _scrollMax() {
    return Math.max(0, this.box.scrollHeight - this.box.clientHeight);
  }

  /** Move the window, and the scrollbar with it. @param {number} top */
  _moveTo(top) {
    this._top = Math.max(0, Math.min(top, this._topMax));
    const ratio = this._topMax ? this._scrollMax / this._topMax : 0;
    this.box.scrollTop = this._top >= this._topMax ? this._scrollMax : this._top * Math.min(1, ratio);
    this._scrollTop = this.box.scrollTop;
  }

  /**
   * Somebody scrolled. Where the scrollbar is shorter than the rows, small steps move as many
   * pixels as they say and the bar is put right afterwards; a dragged bar moves in proportion.
   */
  _scrolled() {
    const { scrollTop } = this.box;
    const delta = scrollTop - this._scrollTop;
    this._scrollTop = scrollTop;
    if (Math.abs(delta) < 1) {
      this.draw(); // sideways, or our own doing
      return;
    }
    const isScaled = this._topMax > this._scrollMax + 1;
    if (!isScaled) this._top = Math.min(scrollTop, this._topMax);
    else if (scrollTop >= this._scrollMax - 1) this._top = this._topMax;
    else if (scrollTop <= 0) this._top = 0;
    else if (Math.abs(delta) <= 2 * this.box.clientHeight) this._top = this._clamp(this._top + delta);
    else this._top = this._clamp((scrollTop / this._scrollMax) * this._topMax);
    this._setFollowing(this._top >= this._topMax - 2);
    if (isScaled) {
      clearTimeout(this._settle);
      this._settle = setTimeout(() => this._moveTo(this._top), 200);
    }
    this.draw();
  }

  /** @param {number} top */
  _clamp(top) {
    return Math.max(0, Math.min(top, this._topMax));
  }

  /** @param {boolean} isOn */
  _setFollowing(isOn) {
    if (isOn === this.isFollowing) return;
    this.isFollowing = isOn;
    this.dispatchEvent(new Event("follow"));
  }

  /** @param {MouseEvent} event */
  _clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const control = target.closest("button.log-more, a.log-number");
    if (!control || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const detail = Number(/** @type {HTMLElement} */ (control.closest(".log-row")).dataset.line);
    this.dispatchEvent(new CustomEvent(control.matches("a") ? "link" : "open", { detail }));
  }
}

/** @param {string} name */
function element(name) {
  const made = document.createElement("div");
  made.className = name;
  return made;
}
