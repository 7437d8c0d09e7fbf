/**
 * A command in a sandbox, in a terminal, over a WebSocket: its output from an offset, its input, its
 * end. A broken connection is taken up again where it broke. The protocol is in
 * docs/reference/websocket.md.
 *
 * @typedef {{rows: number, columns: number}} Size
 * @typedef {{error: string, remediation?: string}} Problem
 * @typedef {{exit_code: number | null, reason: string}} End
 *
 * @typedef {Object} Handlers
 * @property {() => Size} size  the terminal's, now
 * @property {(bytes: Uint8Array, then: () => void) => void} onOutput  calls `then` when it has dealt with them
 * @property {(bytes: number) => void} onGap  so many bytes of output are not kept any more
 * @property {(state: "waking" | "starting" | "running") => void} onProgress
 * @property {(end: End) => void} onEnd
 * @property {(problem: Problem) => void} onProblem
 * @property {(state: import("./socket.js").SocketState) => void} onState
 */

import { Reconnecting } from "./socket.js";

const HEADER_BYTES = 9; // the stream in one byte, the offset in eight
const INPUT_BYTES = 32 * 1024; // of one message
// Far below what the server sends ahead, so that it never waits for us without need.
const ACKNOWLEDGE_BYTES = 64 * 1024;

export class ExecStream {
  /**
   * @param {string} path
   * @param {string} execId 32 hexadecimal digits: that one is joined, or if there is none, a login shell
   *   started that goes by it. So however often a connection breaks, one shell is started
   * @param {Handlers} handlers
   */
  constructor(path, execId, handlers) {
    this._execId = execId;
    this.offset = 0; // received
    this.handled = 0; // dealt with
    this._acknowledged = 0;
    this._handlers = handlers;
    this._socket = new Reconnecting(() => path, {
      onOpen: () => this._open(),
      onMessage: (message) => this._received(message),
      onState: handlers.onState,
    });
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  input(bytes) {
    for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
      this._socket.sendRaw(bytes.slice(at, at + INPUT_BYTES));
    }
  }

  /** @param {Size} size */
  resize(size) {
    this._socket.send({ type: "resize", ...size });
  }

  _open() {
    this._acknowledged = this.offset;
    this._socket.send({
      type: "open",
      exec_id: this._execId,
      command: null,
      terminal: this._handlers.size(),
      stdin: true,
      stdout_offset: this.offset,
    });
  }

  /** @param {any} message */
  _received(message) {
    if (message instanceof ArrayBuffer) this._output(message);
    else if (message.type === "state") this._progress(message);
    else if (message.type === "gap") this._gap(message);
    else if (message.type === "error") this._handlers.onProblem(message);
    else if (message.type === "end") {
      this._socket.finish();
      this._handlers.onEnd(message);
    }
  }

  /** @param {{state: "waking" | "starting" | "running"}} message */
  _progress({ state }) {
    // It may have been joined with another size than it has by now.
    if (state === "running") this.resize(this._handlers.size());
    this._handlers.onProgress(state);
  }

  /** @param {{offset: number, bytes: number}} gap */
  _gap({ offset, bytes }) {
    this.offset = Math.max(this.offset, offset + bytes);
    this._handlers.onGap(bytes);
  }

  /** @param {ArrayBuffer} message */
  _output(message) {
    const offset = Number(new DataView(message).getBigUint64(1));
    const data = new Uint8Array(message, HEADER_BYTES);
    const news = data.subarray(Math.max(0, this.offset - offset));
    if (!news.length) return;
    const end = offset + data.length;
    this.offset = end;
    this._handlers.onOutput(news, () => this._dealtWith(end));
  }

  // The server sends at most a window ahead of this, so a flood never piles up in the page.
  /** @param {number} offset */
  _dealtWith(offset) {
    this.handled = offset;
    if (offset - this._acknowledged < ACKNOWLEDGE_BYTES) return;
    this._acknowledged = offset;
    this._socket.send({ type: "ack", stdout_offset: offset, stderr_offset: 0 });
  }
}
