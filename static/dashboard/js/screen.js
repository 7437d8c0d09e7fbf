/** The screen of a terminal: xterm.js with our looks, our keys, and no more rights than it needs. */

import { FitAddon, strictDocument, Terminal } from "../../vendor/xterm.js";

const SCROLLBACK_LINES = 10_000;

// Dark in both themes, with the log's colours (log.css): programs choose theirs for a dark terminal.
const THEME = {
  background: "#0d0f12",
  foreground: "#d7dbe0",
  cursor: "#d7dbe0",
  cursorAccent: "#0d0f12",
  selectionBackground: "#2b4a85",
  black: "#2b3037",
  red: "#ff7b72",
  green: "#5fd38d",
  yellow: "#e3b341",
  blue: "#79a8ff",
  magenta: "#d2a8ff",
  cyan: "#56d4dd",
  white: "#d7dbe0",
  brightBlack: "#8b949e",
  brightRed: "#ffa198",
  brightGreen: "#86e8ae",
  brightYellow: "#f2cc60",
  brightBlue: "#a5c8ff",
  brightMagenta: "#e2c5ff",
  brightCyan: "#8ae8ef",
  brightWhite: "#ffffff",
};

/**
 * @param {HTMLElement} box
 * @param {{onInput: (bytes: Uint8Array<ArrayBuffer>) => void, onResize: () => void, onLeave: () => void}} handlers
 */
export function openScreen(box, { onInput, onResize, onLeave }) {
  const { fontFamily, fontSize } = getComputedStyle(box);
  const terminal = new Terminal({
    documentOverride: strictDocument,
    fontFamily,
    fontSize: Number.parseFloat(fontSize),
    lineHeight: 1.2,
    macOptionIsMeta: true,
    scrollback: SCROLLBACK_LINES,
    theme: THEME,
    // What a sandbox prints opens nothing.
    linkHandler: { activate: () => {} },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  terminal.textarea?.setAttribute("aria-describedby", "terminal-keys");

  const encoder = new TextEncoder();
  terminal.onData((text) => onInput(encoder.encode(text)));
  terminal.onBinary((text) => onInput(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  terminal.onResize(onResize);
  terminal.attachCustomKeyEventHandler((event) => !isOurs(event, terminal, onLeave));
  new ResizeObserver(() => box.clientHeight && fit.fit()).observe(box);
  return terminal;
}

/**
 * Keys that are not for the sandbox. Ctrl+C stays its own: only with Shift it copies, as in any
 * terminal of a desktop.
 *
 * @param {KeyboardEvent} event @param {Terminal} terminal @param {() => void} onLeave
 */
function isOurs(event, terminal, onLeave) {
  if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return false;
  if (event.code === "KeyV") return true; // the browser pastes, and xterm.js puts it in brackets if asked to
  if (event.code !== "KeyC" && event.code !== "KeyE") return false;
  event.preventDefault();
  if (event.type !== "keydown") return true;
  if (event.code === "KeyE") onLeave();
  else if (terminal.hasSelection()) document.execCommand("copy");
  return true;
}
