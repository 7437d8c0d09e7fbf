/** The page of one job: its state, its log, and what can be done with it. */

import { toast } from "./app.js";
import { ApiError, call } from "./api.js";
import { refresh } from "./live.js";
import { setUpLog } from "./logpanel.js";

const POLL_MS = 5000; // while the socket is away

const page = /** @type {HTMLElement} */ (document.querySelector("[data-page=job]"));

const panel = /** @type {HTMLElement} */ (page.querySelector("[data-log]"));
const socket = setUpLog(panel, page.dataset.socket ?? "", { onChange: refresh });
setInterval(() => {
  if (socket.state === "reconnecting" && !document.hidden) refresh();
}, POLL_MS);

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("stop-dialog"));
dialog.addEventListener("close", async () => {
  if (dialog.returnValue !== "confirm") return;
  dialog.returnValue = "";
  try {
    await call("POST", dialog.dataset.stop ?? "");
    refresh();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(error.message);
  }
});
