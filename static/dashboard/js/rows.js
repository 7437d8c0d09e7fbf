/**
 * Which line is on which row of the screen: all lines or only some (a filter), one row each or,
 * when long lines wrap, as many as a line needs.
 */

/** The rows of a view on a LineStore. */
export class RowIndex {
  constructor() {
    /** @type {number[] | null} the lines that are shown, or null for all of them */
    this.shown = null;
    /** 0: lines do not wrap. */
    this.columns = 0;
    this.first = 0; // the first line that there is
    this._count = 0;
    /** @type {number[]} with wrapping: the first row of each shown line, and the end */
    this._starts = [0];
  }

  /** How many rows there are. */
  get total() {
    return this.columns ? this._starts[this._count] : this._count;
  }

  /** How many lines are shown. */
  get count() {
    return this._count;
  }

  /**
   * Take in new and changed lines.
   *
   * @param {number} length lines in the store
   * @param {number} changedFrom the first line that changed
   * @param {(line: number) => number} rowsOf how many rows a line takes when lines wrap
   */
  update(length, changedFrom, rowsOf) {
    this._count = this.shown ? this.shown.length : length - this.first;
    if (!this.columns) return;
    const from = Math.min(this.positionOf(changedFrom), this._starts.length - 1);
    this._starts.length = from + 1;
    for (let at = from; at < this._count; at += 1) {
      this._starts.push(this._starts[at] + rowsOf(this.lineAt(at)));
    }
  }

  /** Start again, after `shown` or `columns` was changed; `update` from 0 must follow. */
  reset() {
    this._starts = [0];
    this._count = 0;
  }

  /**
   * The lines before this one are gone; `shown` still has them.
   *
   * @param {number} first
   * @returns {number} how many rows went
   */
  trim(first) {
    const gone = Math.min(this.positionOf(first), this._count);
    const rows = this.rowOf(gone);
    if (this.columns) this._starts = this._starts.slice(gone).map((start) => start - rows);
    this.first = first;
    this._count -= gone;
    return rows;
  }

  /** @param {number} position @returns {number} the line that is shown there */
  lineAt(position) {
    return this.shown ? this.shown[position] : this.first + position;
  }

  /** @param {number} line @returns {number} its position, or the next shown line's */
  positionOf(line) {
    return this.shown ? lowerBound(this.shown, line) : Math.max(0, line - this.first);
  }

  /** @param {number} row @returns {number} the position whose line covers that row */
  positionAtRow(row) {
    if (!this.columns) return row;
    return Math.max(0, lowerBound(this._starts, row + 1, this._count + 1) - 1);
  }

  /** @param {number} position @returns {number} its first row */
  rowOf(position) {
    return this.columns ? this._starts[Math.min(position, this._count)] : position;
  }
}

/**
 * The first index whose value is not less than `value`.
 *
 * @param {number[]} sorted
 * @param {number} value
 * @param {number} [end]
 */
export function lowerBound(sorted, value, end = sorted.length) {
  let low = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const TAB = 8;

/** How many columns a character takes: 0 for marks that combine, 2 for wide ones. @param {number} code */
function columnsOf(code) {
  if (code < 0x300) return 1;
  if (code <= 0x36f || (code >= 0x200b && code <= 0x200d) || (code >= 0xfe00 && code <= 0xfe0f)) return 0;
  const isWide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd);
  return isWide ? 2 : 1;
}

/**
 * How many rows a line's shown text takes; a tab takes the columns up to the next stop.
 *
 * @param {string} text
 * @param {number} columns
 */
export function rowCount(text, columns) {
  if (!/[^\x20-\x7e]/.test(text)) return Math.max(1, Math.ceil(text.length / columns));
  let rows = 1;
  let used = 0;
  for (const char of text) {
    const width = char === "\t" ? TAB - (used % TAB) : columnsOf(/** @type {number} */ (char.codePointAt(0)));
    if (used + width > columns && used > 0) {
      rows += 1;
      used = 0;
    }
    used += width;
  }
  return rows;
}
