/** The comparison of two versions: asked for again until a host has answered. */

import "./list.js";
import { refresh } from "./live.js";

const FIRST_MS = 300;
const LIMIT_MS = 5000;

let delay = FIRST_MS;

function lookAgain() {
  if (!document.querySelector("[data-pending]")) return;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    delay = Math.min(delay * 1.5, LIMIT_MS);
    lookAgain();
  }, delay);
}

lookAgain();
