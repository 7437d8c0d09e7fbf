/**
 * The lines of a log, kept in columns so that a million of them stay cheap.
 *
 * @typedef {import("./ansi.js").Style} Style
 *
 * @typedef {Object} Entry  one entry of the log protocol (docs/reference/websocket.md)
 * @property {string} timestamp
 * @property {string} message
 * @property {string} stream  "stdout", "stderr" or "platform"
 * @property {string} [source]  "platform": Mags itself speaks
 * @property {boolean} [partial]  the line goes on in a later entry of the same stream
 * @property {string} [base64]  the exact bytes, where they are not UTF-8 by themselves
 */

import { PLAIN, plain, styleAfter } from "./ansi.js";

// Of one line this much is kept; the rest is counted and is in the download.
export const KEPT_CHARS = 256 * 1024;
const WIPE_FROM_CHARS = 4096;
const STREAMS = ["stdout", "stderr", "platform"];

/** The lines of one job's output. */
export class LineStore {
  constructor() {
    /** @type {string[]} raw text, escape sequences and all */
    this.texts = [];
    this.times = new Float64Array(1024);
    this.streams = new Uint8Array(1024);
    this.styleIds = new Uint32Array(1024);
    /** @type {Map<number, number>} line -> characters that were not kept */
    this.dropped = new Map();
    /** The first line that changed since somebody last set this to `length`. */
    this.changedFrom = 0;
    /** @type {Map<string, number>} */
    this._styleIdByKey = new Map([["-1,-1,0", 0]]);
    /** @type {Style[]} */
    this._styles = [PLAIN];
    /** @type {Style[]} what each stream's last line left behind */
    this._carried = STREAMS.map(() => PLAIN);
    /** @type {number[]} each stream's line that goes on, or -1 */
    this._open = STREAMS.map(() => -1);
    /** A character may be cut in two by the end of an entry. */
    this._decoders = STREAMS.map(() => new TextDecoder());
  }

  get length() {
    return this.texts.length;
  }

  /** @param {number} line @returns {Style} the style that the line starts with */
  style(line) {
    return this._styles[this.styleIds[line]];
  }

  /** @param {number} line */
  stream(line) {
    return STREAMS[this.streams[line]];
  }

  /** @param {Entry} entry */
  append(entry) {
    const name = entry.source === "platform" ? "platform" : entry.stream;
    const stream = Math.max(0, STREAMS.indexOf(name));
    let line = this._open[stream];
    if (line < 0) line = this._begin(entry.timestamp, stream);
    this._extend(line, this._text(entry, stream));
    this.changedFrom = Math.min(this.changedFrom, line);
    this._open[stream] = entry.partial ? line : -1;
    if (!entry.partial) this._carried[stream] = styleAfter(this.texts[line], this.style(line));
  }

  /** @param {Entry} entry @param {number} stream */
  _text({ message, base64, partial }, stream) {
    const decoder = this._decoders[stream];
    if (!base64) return this._open[stream] < 0 ? message : decoder.decode() + message;
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return decoder.decode(partial ? bytes : bytes.subarray(0, -1), { stream: partial });
  }

  /** @param {string} timestamp @param {number} stream */
  _begin(timestamp, stream) {
    const line = this.texts.length;
    if (line === this.times.length) this._grow();
    this.texts.push("");
    this.times[line] = Date.parse(timestamp);
    this.streams[line] = stream;
    this.styleIds[line] = this._styleId(this._carried[stream]);
    return line;
  }

  /** @param {number} line @param {string} more */
  _extend(line, more) {
    let text = this.texts[line] + more;
    if (text.length > WIPE_FROM_CHARS) {
      const wiped = wipedBy(text);
      if (wiped > 0) {
        this.styleIds[line] = this._styleId(styleAfter(text.slice(0, wiped), this.style(line)));
        text = text.slice(wiped);
        this.dropped.delete(line);
      }
    }
    if (text.length > KEPT_CHARS) {
      this.dropped.set(line, (this.dropped.get(line) ?? 0) + text.length - KEPT_CHARS);
      text = text.slice(0, KEPT_CHARS);
    }
    this.texts[line] = text;
  }

  /** @param {Style} style */
  _styleId(style) {
    const key = `${style.fg},${style.bg},${style.flags}`;
    let id = this._styleIdByKey.get(key);
    if (id === undefined) {
      id = this._styles.push(style) - 1;
      this._styleIdByKey.set(key, id);
    }
    return id;
  }

  _grow() {
    for (const column of /** @type {const} */ (["times", "streams", "styleIds"])) {
      const old = this[column];
      const Column = /** @type {any} */ (old.constructor);
      this[column] = new Column(old.length * 2);
      this[column].set(/** @type {any} */ (old));
    }
  }
}

/**
 * How much of a line was wiped by a carriage return that something visible follows. It need not be
 * kept, only the colours it set.
 *
 * @param {string} text
 */
function wipedBy(text) {
  const last = text.lastIndexOf("\r");
  if (last < 0) return 0;
  if (plain(text.slice(last + 1))) return last + 1;
  return text.lastIndexOf("\r", last - 1) + 1;
}
