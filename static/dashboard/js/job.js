/** The page of one job: its state, its log, and what can be done with it. */

import { toast } from "./app.js";
import { ApiError, call } from "./api.js";
import "./commands.js";
import "./deeds.js";
import { refresh } from "./live.js";
import { setUpLog } from "./logpanel.js";
import "./sandboxbox.js";
import { setUpTabs } from "./tabs.js";

const POLL_MS = 5000;

const page = /** @type {HTMLElement} */ (document.querySelector("[data-page=job]"));

const panel = /** @type {HTMLElement} */ (page.querySelector("[data-log]"));
setUpLog(panel, page.dataset.socket ?? "", { onChange: refresh });

const tabs = /** @type {HTMLElement} */ (page.querySelector("[data-tabs]"));
/** @type {Promise<{focus: () => void}> | undefined} */
let terminal;
let isAtCommands = false; // nobody tells a page of what is executed
setInterval(() => isAtCommands && !document.hidden && refresh(), POLL_MS);
setUpTabs(tabs, async (shown, isEntered) => {
  isAtCommands = shown === "commands";
  if (isAtCommands) refresh();
  if (shown !== "terminal") return;
  // Half a megabyte, and a shell in the sandbox: only for who looks at it.
  terminal ??= openTerminal();
  if (isEntered) (await terminal).focus();
  else await terminal;
});

async function openTerminal() {
  const { setUpTerminal } = await import("./terminal.js");
  const panel = /** @type {HTMLElement} */ (page.querySelector("[data-terminal]"));
  return setUpTerminal(panel, { onLeave: () => document.getElementById("tab-terminal")?.focus() });
}

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
