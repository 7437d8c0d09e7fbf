/** Pages that nobody tells of changes look for themselves. */

import { refresh } from "./live.js";

const POLL_MS = 5000;

setInterval(() => {
  // What somebody is about to confirm is not swapped under their hands.
  if (!document.hidden && !document.querySelector(":popover-open")) refresh();
}, POLL_MS);
