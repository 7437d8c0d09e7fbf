/** The terminal on a job's page: a login shell in its sandbox, which outlives the page and its connections. */

import { copyText } from "./app.js";
import { ExecStream } from "./execstream.js";
import { count } from "./format.js";
import { Remembered } from "./remembered.js";
import { openScreen } from "./screen.js";
import { setUpTouchKeys } from "./touchkeys.js";

/** @typedef {"connecting" | "waking" | "starting" | "live" | "reconnecting" | "ended" | "refused"} State */

/** @type {Record<State, string>} */
const WORDS = {
  connecting: "Connecting",
  waking: "Waking the sandbox…",
  starting: "Starting a shell…",
  live: "Connected",
  reconnecting: "Connection lost. Reconnecting…",
  ended: "Ended",
  refused: "Not available",
};

/**
 * @param {HTMLElement} panel
 * @param {{onLeave: () => void}} options called when somebody leaves it by key
 */
export function setUpTerminal(panel, { onLeave }) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (panel.querySelector(selector));
  const path = panel.dataset.socket ?? "";
  const remembered = new Remembered(path);
  const state = find("[data-terminal-state]");
  const over = find("[data-terminal-over]");
  /** @type {ExecStream} */
  let stream;
  let isLive = false;
  /** @type {import("./execstream.js").Problem | null} */
  let problem = null;

  const terminal = openScreen(find("[data-terminal-box]"), { onInput, onResize, onLeave });
  const size = () => ({ rows: terminal.rows, columns: terminal.cols });

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  function onInput(bytes) {
    // What is typed while nobody takes it is dropped, and seen to be: it comes back as an echo or not at
    // all. And what the screen says to programs whose questions are only replayed, nobody asked.
    if (isLive && stream.handled >= remembered.offset) stream.input(touchKeys.changed(bytes));
  }

  function onResize() {
    find("[data-terminal-size]").textContent = `${terminal.cols} × ${terminal.rows}`;
    if (isLive) stream.resize(size());
  }

  /** @param {State} name @param {string} [text] */
  function show(name, text = WORDS[name]) {
    isLive = name === "live";
    state.dataset.state = name;
    state.textContent = text;
    find("[data-terminal-again]").hidden = name !== "ended" && name !== "refused";
  }

  /** @param {string} text */
  function sayOver(text) {
    over.textContent = text;
    over.hidden = !text;
  }

  function start() {
    terminal.reset();
    problem = null;
    sayOver("");
    show("connecting");
    stream = new ExecStream(path, remembered.execId, {
      size,
      onOutput: (bytes, then) => terminal.write(bytes, then),
      onGap: (bytes) => terminal.write(`\r\n\x1b[2m[${count(bytes, "byte", "bytes")} of output are not kept]\x1b[0m\r\n`),
      onProgress: (progress) => show(progress === "running" ? "live" : progress),
      onProblem: (told) => (problem = told),
      onEnd(end) {
        remembered.renew();
        show("ended");
        sayOver(ending(end));
      },
      onState(socketState) {
        if (socketState === "reconnecting") show("reconnecting");
        if (socketState !== "refused") return;
        remembered.renew();
        show("refused");
        sayOver(problem ? `${problem.error} ${problem.remediation ?? ""}` : "This terminal is not available.");
      },
    });
  }

  const touchKeys = setUpTouchKeys(find("[data-touch-keys]"), terminal);
  find("[data-terminal-again]").addEventListener("click", () => {
    start();
    terminal.focus();
  });
  find("[data-terminal-copy]").addEventListener("click", () => {
    copyText(terminal.getSelection() || screenText(terminal));
    terminal.focus();
  });
  const expand = find("[data-terminal-expand]");
  expand.addEventListener("click", () => {
    expand.setAttribute("aria-pressed", String(panel.classList.toggle("is-expanded")));
    terminal.focus();
  });
  addEventListener("pagehide", () => remembered.reached(stream.handled));
  onResize();
  start();
  return { focus: () => terminal.focus() };
}

/** @param {import("./execstream.js").End} end */
function ending({ exit_code, reason }) {
  if (reason === "exited") return `The shell ended with exit code ${exit_code}.`;
  if (reason === "oom") return "The shell was ended because the sandbox's memory was full.";
  if (reason === "lost") return "The sandbox ended, and the shell with it.";
  return `The shell was ended (${reason.replaceAll("_", " ")}).`;
}

/** What is on the screen now. @param {import("@xterm/xterm").Terminal} terminal */
function screenText({ buffer, rows }) {
  const { active } = buffer;
  const lines = Array.from({ length: rows }, (_, row) => active.getLine(active.viewportY + row));
  return lines
    .map((line) => line?.translateToString(true) ?? "")
    .join("\n")
    .trimEnd();
}
