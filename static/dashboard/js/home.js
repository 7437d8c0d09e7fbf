/** The start page: a form that runs a script, and first steps with a token filled in. */

import { ApiError, call } from "./api.js";
import { setUpComposer } from "./composer.js";

const DAYS_MS = 30 * 86_400_000;

setUpComposer(
  /** @type {HTMLElement} */ (document.querySelector("[data-composer]")),
  document.querySelector("[data-composer-open]"),
);

const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-token-start]"));
const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
const made = /** @type {HTMLElement} */ (form.querySelector("[data-token-made]"));
const problem = /** @type {HTMLElement} */ (form.querySelector("[data-token-error]"));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  submit.disabled = true;
  problem.hidden = true;
  const expires_at = new Date(Date.now() + DAYS_MS).toISOString();
  try {
    const { token } = await call("POST", form.action, { name: "getting started", expires_at });
    for (const slot of document.querySelectorAll("[data-token-slot]")) slot.textContent = token;
    made.hidden = false;
    submit.hidden = true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    problem.textContent = `${error.message} ${error.remediation}`.trim();
    problem.hidden = false;
    submit.disabled = false;
  }
});
submit.disabled = false; // off until here, because the API does not take what a form sends by itself
