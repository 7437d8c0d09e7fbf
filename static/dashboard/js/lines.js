/**
 * The lines of a log, kept in columns so that a million of them stay cheap.
 *
 * @typedef {import("./ansi.js").Style} Style
 *
 * @typedef {Object} Entry  one entry of the log protocol (docs/reference/websocket.md)
 * @property {string} timestamp
 * @property {string} message
 * @property {number} [offset]  of its first byte in the output
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
/** @type {Readonly<Mark>} */
const START = Object.freeze({ line: 0, offset: 0, carried: STREAMS.map(() => PLAIN), open: STREAMS.map(() => -1) });

// So much of a log is held: enough to scroll and search in, and a page that may stay open for weeks.
export const HELD_LINES = 200_000;
const HELD_CHARS = 64 * 1024 * 1024;
const TRIMMED_TO = 0.75; // of either, so that lines go in large pieces and seldom
const MARK_LINES = 10_000; // from one place where reading can begin to the next

/**
 * Where a line began in the output, and what the reader knew there.
 *
 * @typedef {{line: number, offset: number, carried: Style[], open: number[]}} Mark
 */

/** The lines of one job's output, counted from 0: those from `first` to before `length` are held. */
export class LineStore {
  constructor() {
    this.first = 0;
    /** @type {string[]} raw text from the first held line on, escape sequences and all */
    this.texts = [];
    this._chars = 0;
    /** @type {Mark[]} of the whole log, as far as it was seen */
    this._marks = [];
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
    return this.first + this.texts.length;
  }

  get isFull() {
    return this.texts.length >= HELD_LINES || this._chars >= HELD_CHARS;
  }

  /** @param {number} line */
  text(line) {
    return this.texts[line - this.first];
  }

  /** @param {number} line @returns {number} Unix ms */
  time(line) {
    return this.times[line - this.first];
  }

  /** @param {number} line @returns {Style} the style that the line starts with */
  style(line) {
    return this._styles[this.styleIds[line - this.first]];
  }

  /** @param {number} line */
  stream(line) {
    return STREAMS[this.streams[line - this.first]];
  }

  /** @param {Entry} entry */
  append(entry) {
    const name = entry.source === "platform" ? "platform" : entry.stream;
    const stream = Math.max(0, STREAMS.indexOf(name));
    let line = this._open[stream];
    if (line < 0) {
      this._mark(entry.offset ?? 0);
      line = this._begin(entry.timestamp, stream);
    }
    const text = this._text(entry, stream);
    this._open[stream] = entry.partial ? line : -1;
    if (line < this.first) return; // its beginning is not held any more
    this._extend(line, text);
    this.changedFrom = Math.min(this.changedFrom, line);
    if (!entry.partial) this._carried[stream] = styleAfter(this.text(line), this.style(line));
  }

  /** Let go of the oldest lines. */
  trim() {
    let chars = this._chars;
    let gone = Math.max(0, this.texts.length - Math.floor(HELD_LINES * TRIMMED_TO));
    for (let at = 0; at < gone; at += 1) chars -= this.texts[at].length;
    while (chars > HELD_CHARS * TRIMMED_TO && gone < this.texts.length - 1) chars -= this.texts[gone++].length;
    this._chars = chars;
    for (const column of [this.times, this.streams, this.styleIds]) column.copyWithin(0, gone, this.texts.length);
    this.texts.splice(0, gone);
    this.first += gone;
    for (const line of this.dropped.keys()) if (line < this.first) this.dropped.delete(line);
  }

  /** Let go of everything, to read again from a place before a line. @param {number} line @returns {number} its offset */
  rewind(line) {
    const mark = this._marks.findLast((known) => known.line <= line) ?? START;
    this.first = mark.line;
    this.texts = [];
    this._chars = 0;
    this.dropped.clear();
    this._carried = [...mark.carried];
    this._open = [...mark.open];
    this._decoders = STREAMS.map(() => new TextDecoder());
    this.changedFrom = this.first;
    return mark.offset;
  }

  /** Reading can begin where a line does. @param {number} offset */
  _mark(offset) {
    const { length: line } = this;
    if (line % MARK_LINES || (this._marks.at(-1)?.line ?? -1) >= line) return;
    this._marks.push({ line, offset, carried: [...this._carried], open: [...this._open] });
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
    const at = this.texts.length;
    if (at === this.times.length) this._grow();
    this.texts.push("");
    this.times[at] = Date.parse(timestamp);
    this.streams[at] = stream;
    this.styleIds[at] = this._styleId(this._carried[stream]);
    return this.first + at;
  }

  /** @param {number} line @param {string} more */
  _extend(line, more) {
    const at = line - this.first;
    const before = this.texts[at].length;
    let text = this.texts[at] + more;
    if (text.length > WIPE_FROM_CHARS) {
      const wiped = wipedBy(text);
      if (wiped > 0) {
        this.styleIds[at] = this._styleId(styleAfter(text.slice(0, wiped), this.style(line)));
        text = text.slice(wiped);
        this.dropped.delete(line);
      }
    }
    if (text.length > KEPT_CHARS) {
      this.dropped.set(line, (this.dropped.get(line) ?? 0) + text.length - KEPT_CHARS);
      text = text.slice(0, KEPT_CHARS);
    }
    this.texts[at] = text;
    this._chars += text.length - before;
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
