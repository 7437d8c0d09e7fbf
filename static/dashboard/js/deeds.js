/**
 * Buttons that call the API: `data-call` is the method, `data-href` the address, `data-field` and
 * `data-value` what to set, `data-ask` a dialog that asks first. The page is fetched again afterwards.
 */

import { ApiError, call } from "./api.js";
import { toast } from "./app.js";
import { refresh } from "./live.js";

document.addEventListener("click", async (event) => {
  const button = /** @type {HTMLButtonElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-call]")
  );
  if (!button) return;
  const { ask, name = "" } = button.dataset;
  if (ask && !(await isConfirmed(ask, name))) return;
  button.disabled = true;
  await attempt(() => perform(button));
  button.disabled = false;
});

/** @param {HTMLButtonElement} button */
async function perform({ dataset }) {
  const { call: method = "", href = "", field, value, said } = dataset;
  await call(method, href, field ? { [field]: JSON.parse(value ?? "null") } : undefined);
  if (said) toast(said);
  refresh();
}

/** Say what went wrong. @param {() => Promise<void>} action */
export async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(`${error.message} ${error.remediation}`.trim(), 6000);
  }
}

/** @param {string} id @param {string} name @returns {Promise<boolean>} */
function isConfirmed(id, name) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(id));
  for (const place of dialog.querySelectorAll("[data-ask-name]")) place.textContent = name;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}
