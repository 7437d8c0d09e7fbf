/** The output of a command that was executed in the sandbox, in a dialog. */

import { parse, plain } from "./ansi.js";
import { call } from "./api.js";
import { attempt } from "./deeds.js";
import { count } from "./format.js";
import { renderSegments } from "./logtext.js";

const SHOWN_CHARS = 64 * 1024; // of each stream; a page of a megabyte is slow to lay out

document.addEventListener("click", async (event) => {
  const button = /** @type {HTMLButtonElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-output]")
  );
  if (!button) return;
  button.disabled = true;
  await attempt(() => show(button.dataset.output ?? "", button.dataset.command ?? ""));
  button.disabled = false;
});

/** @param {string} href @param {string} command */
async function show(href, command) {
  const streams = await Promise.all(["stdout", "stderr"].map((stream) => call("GET", `${href}?stream=${stream}`)));
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("output-dialog"));
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (dialog.querySelector(selector));
  const text = streams.map(({ data }) => data.slice(0, SHOWN_CHARS)).join("");
  find("h2").textContent = command;
  find("pre").replaceChildren(...lines(text || "No output."));
  find("[data-copy]").dataset.copy = text.split("\n").map(plain).join("\n");
  find("[data-output-note]").textContent = note(streams);
  dialog.showModal();
}

/** @param {string} text */
function* lines(text) {
  let style;
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    const parsed = parse(line, style);
    style = parsed.style;
    yield renderSegments(parsed.segments);
    yield "\n";
  }
}

/** What is left out. @param {{data: string, gap_bytes: number, end: object | null}[]} streams */
function note(streams) {
  const gone = streams.reduce((sum, { gap_bytes }) => sum + gap_bytes, 0);
  const isCut = streams.some(({ data, end }) => data.length > SHOWN_CHARS || (data.length && !end));
  return [
    gone && `${count(gone, "byte", "bytes")} are not kept any more.`,
    isCut && "There is, or will be, more: the API has it from any offset.",
  ]
    .filter(Boolean)
    .join(" ");
}
