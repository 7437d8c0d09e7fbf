/** The list of jobs: told of every change over a WebSocket, asking by itself while that is away. */

import { setUpComposer } from "./composer.js";
import "./list.js";
import { refresh } from "./live.js";
import { Reconnecting } from "./socket.js";

const POLL_MS = 5000;

const composer = /** @type {HTMLElement} */ (document.querySelector("[data-composer]"));
setUpComposer(composer, document.querySelector("[data-composer-open]"));

const socket = new Reconnecting(() => "/ws/jobs", {
  onMessage: () => refresh(),
  // What changed before the first message, or while the connection was away, shows too.
  onState: () => refresh(),
});
setInterval(() => {
  if (socket.state !== "live" && !document.hidden) refresh();
}, POLL_MS);
