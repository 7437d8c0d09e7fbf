/** Finds the lines that contain a text, a slice at a time so that the page stays alive. */

import { plain } from "./ansi.js";
import { lowerBound } from "./rows.js";

const SLICE_MS = 10;

/** @typedef {import("./lines.js").LineStore} LineStore */

/** A search that goes on as lines arrive. Fires `matches` when it knows more. */
export class LogSearch extends EventTarget {
  /** @param {LineStore} store */
  constructor(store) {
    super();
    this.store = store;
    /** @type {RegExp | null} */
    this.pattern = null;
    /** @type {number[]} lines, ascending */
    this.matches = [];
    this._scanned = 0;
    this._timer = 0;
  }

  get isDone() {
    return this._scanned >= this.store.length;
  }

  /** @param {string} query taken literally, in either case */
  set(query) {
    this.pattern = query ? new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : null;
    this.matches = [];
    this._scanned = this.store.first;
    this._scan();
  }

  /** The store let go of its oldest lines. */
  trimmed() {
    this.matches.splice(0, lowerBound(this.matches, this.store.first));
    this._scanned = Math.max(this._scanned, this.store.first);
  }

  /** The store begins anew. */
  restart() {
    this.matches.length = 0;
    this._scanned = this.store.first;
  }

  /** Lines from here on are new or changed. @param {number} from */
  changed(from) {
    if (!this.pattern) return;
    this._scanned = Math.min(this._scanned, from);
    while (this.matches.length && this.matches[this.matches.length - 1] >= this._scanned) this.matches.pop();
    this._scan();
  }

  /**
   * The next match after a line, round the end.
   *
   * @param {number} line
   * @param {1 | -1} direction
   */
  next(line, direction) {
    const { matches } = this;
    if (!matches.length) return -1;
    if (direction > 0) return matches.find((match) => match > line) ?? matches[0];
    return matches.findLast((match) => match < line) ?? matches[matches.length - 1];
  }

  _scan() {
    clearTimeout(this._timer);
    const { pattern, store } = this;
    if (pattern) {
      const until = performance.now() + SLICE_MS;
      while (this._scanned < store.length) {
        pattern.lastIndex = 0;
        if (pattern.test(plain(store.text(this._scanned)))) this.matches.push(this._scanned);
        this._scanned += 1;
        if (this._scanned % 64 === 0 && performance.now() > until) break;
      }
      if (!this.isDone) this._timer = setTimeout(() => this._scan());
    }
    this.dispatchEvent(new Event("matches"));
  }
}
