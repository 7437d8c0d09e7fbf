/** Keys that the keyboards of phones do not have: a row of buttons below the terminal. */

/** @type {Record<string, string>} */
const SENT = { escape: "\x1b", tab: "\t" };
/** @type {Record<string, string>} */
const CURSOR = { up: "A", down: "B", right: "C", left: "D" };

/**
 * @param {HTMLElement} row
 * @param {import("@xterm/xterm").Terminal} terminal
 * @returns {{changed: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>}} what is typed, with
 *   Control where it was pressed before
 */
export function setUpTouchKeys(row, terminal) {
  const control = /** @type {HTMLButtonElement} */ (row.querySelector("[data-key=control]"));
  const isHeld = () => control.getAttribute("aria-pressed") === "true";
  const hold = (/** @type {boolean} */ isOn) => control.setAttribute("aria-pressed", String(isOn));

  // The focus stays in the terminal, or the phone's keyboard would go.
  row.addEventListener("pointerdown", (event) => event.preventDefault());
  row.addEventListener("click", async (event) => {
    const key = /** @type {Element} */ (event.target).closest("button")?.dataset.key;
    if (!key) return;
    if (key === "control") hold(!isHeld());
    else if (key === "paste") terminal.paste(await navigator.clipboard.readText().catch(() => ""));
    else terminal.input(SENT[key] ?? `\x1b${terminal.modes.applicationCursorKeysMode ? "O" : "["}${CURSOR[key]}`);
    terminal.focus();
  });

  return {
    changed(bytes) {
      if (!isHeld() || bytes.length !== 1) return bytes;
      hold(false);
      return Uint8Array.of(bytes[0] & 0x1f);
    },
  };
}
