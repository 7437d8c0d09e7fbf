/**
 * A WebSocket that comes back. Delays double from 250 ms to 5 s with jitter, so that a restarted
 * server is not met by every open page at once; a network that comes back is tried at once.
 */

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 5000;
const CONNECT_MS = 10_000; // browsers wait for minutes on a network that swallows everything
// Codes from 4400 to 4499 are the server's "no": coming back would not help.
const REFUSED = /^44\d\d$/;

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "ended" | "refused"} SocketState
 *
 * @typedef {Object} SocketHandlers
 * @property {(message: any) => void} onMessage  a JSON message, or the bytes of a binary one as an ArrayBuffer
 * @property {() => void} [onOpen]  a connection is there, before anything was received on it
 * @property {(state: SocketState) => void} onState
 */

/** One conversation, over as many connections as it takes. */
export class Reconnecting {
  /**
   * @param {() => string} address path and query of the next connection
   * @param {SocketHandlers} handlers
   */
  constructor(address, handlers) {
    this._address = address;
    this._handlers = handlers;
    this._failures = 0;
    this._timer = 0;
    /** @type {SocketState} */
    this.state = "connecting";
    addEventListener("online", () => this._hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this._hurry());
    this._connect();
  }

  /** @param {object} message */
  send(message) {
    this.sendRaw(JSON.stringify(message));
  }

  /** @param {string | Uint8Array<ArrayBuffer>} data */
  sendRaw(data) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(data);
  }

  /** The conversation is over: do not come back. */
  finish() {
    this._setState("ended");
    this._socket?.close();
  }

  /** As `finish`, where nobody is to hear of it. */
  close() {
    this.state = "ended";
    clearTimeout(this._timer);
    this._socket?.close();
  }

  _connect() {
    clearTimeout(this._timer);
    const url = new URL(this._address(), location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    socket.addEventListener("open", () => socket === this._socket && this._handlers.onOpen?.());
    setTimeout(() => socket.readyState === WebSocket.CONNECTING && socket.close(), CONNECT_MS);
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this._socket || this.state === "ended") return;
      this._failures = 0;
      this._setState("live");
      this._handlers.onMessage(typeof data === "string" ? JSON.parse(data) : data);
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket === this._socket) this._lost(code);
    });
  }

  /** @param {number} code */
  _lost(code) {
    if (this.state === "ended") return;
    if (REFUSED.test(String(code))) {
      this._setState("refused");
      return;
    }
    this._setState("reconnecting");
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this._failures, LONGEST_DELAY_MS);
    this._failures += 1;
    this._timer = setTimeout(() => this._connect(), delay * (0.75 + Math.random() / 2));
  }

  _hurry() {
    if (this.state === "reconnecting") this._connect();
  }

  /** @param {SocketState} state */
  _setState(state) {
    if (state === this.state) return;
    this.state = state;
    this._handlers.onState(state);
  }
}
