/**
 * Fills a LineStore with a job's output and keeps it bounded. Where it is full and somebody follows, the oldest
 * lines go. Where somebody reads, nothing goes: no more is taken, and the server waits with the rest.
 */

import { HELD_LINES } from "./lines.js";
import { followLogs } from "./logstream.js";

/**
 * @typedef {Object} Feeding
 * @property {() => boolean} isMoving  whether the oldest lines may go
 * @property {() => void} onLines  there are new or changed ones
 * @property {() => void} onTrimmed  the oldest are gone
 * @property {() => void} onRestart  all are gone: it begins anew
 */

/** @typedef {Pick<import("./logstream.js").Handlers, "onStatus" | "onEnd" | "onState"> & Feeding} FeedHandlers */

export class LogFeed {
  /** @param {string} path @param {import("./lines.js").LineStore} store @param {FeedHandlers} handlers */
  constructor(path, store, handlers) {
    this._path = path;
    this._store = store;
    this._handlers = handlers;
    this.isPaused = false;
    this._stream = this._follow(0);
  }

  /** Take more, a piece of what is held at a time. */
  goOn() {
    if (!this.isPaused) return;
    this.isPaused = false;
    this._trim();
    this._stream.acknowledge();
  }

  /** Hold lines before the first one that is held now. */
  loadEarlier() {
    this.goTo(Math.max(0, this._store.first - HELD_LINES / 2));
  }

  /** Begin anew at or before a line. @param {number} line */
  goTo(line) {
    this._stream.close();
    this.isPaused = false;
    const offset = this._store.rewind(line);
    this._handlers.onRestart();
    this._stream = this._follow(offset);
  }

  /** @param {number} offset */
  _follow(offset) {
    const { onStatus, onEnd, onState } = this._handlers;
    return followLogs(this._path, offset, { onEntries: (entries) => this._take(entries), onStatus, onEnd, onState });
  }

  /** @param {import("./lines.js").Entry[]} entries */
  _take(entries) {
    for (const entry of entries) this._store.append(entry);
    this._handlers.onLines();
    if (this._store.isFull) {
      if (this._handlers.isMoving()) this._trim();
      else this.isPaused = true;
    }
    return !this.isPaused;
  }

  _trim() {
    this._store.trim();
    this._handlers.onTrimmed();
  }
}
