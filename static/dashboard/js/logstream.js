/**
 * The output of a job over a WebSocket, from an offset: replay, then live, then the end. A broken
 * connection is taken up again at the first byte that was not received, so nothing is lost or
 * doubled. The protocol is in docs/reference/websocket.md.
 *
 * @typedef {import("./lines.js").Entry} Entry
 *
 * @typedef {Object} Handlers
 * @property {(entries: Entry[]) => boolean} onEntries  false: no more than the server's window now, please
 * @property {(job: Record<string, unknown>) => void} onStatus
 * @property {(job: Record<string, unknown>) => void} onEnd
 * @property {(state: "connecting" | "live" | "reconnecting" | "ended" | "refused") => void} onState
 */

import { Reconnecting } from "./socket.js";

/**
 * @param {string} path the stream's address without its query
 * @param {number} offset where to begin
 * @param {Handlers} handlers
 */
export function followLogs(path, offset, { onEntries, onStatus, onEnd, onState }) {
  let acknowledged = offset;
  const socket = new Reconnecting(() => `${path}?offset=${offset}`, {
    onState,
    onMessage(message) {
      if (message.type === "logs") {
        const wantsMore = onEntries(message.entries);
        offset = message.next_offset;
        if (wantsMore) acknowledge();
      } else if (message.type === "status") onStatus(message.job);
      else if (message.type === "end") {
        socket.finish();
        onEnd(message.job);
      }
    },
  });

  // The server sends at most a window ahead of this, so a page that cannot keep up is not buried.
  function acknowledge() {
    if (acknowledged === offset) return;
    acknowledged = offset;
    socket.send({ type: "ack", offset });
  }
  return { acknowledge, close: () => socket.close() };
}
