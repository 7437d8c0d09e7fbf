/** API tokens: make one (its text is shown once), revoke one. */

import { ApiError, call } from "./api.js";
import { refresh } from "./live.js";

const DAY_MS = 86_400_000;
const KEPT = "mags-token-form";
const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-token-form]"));
const panel = /** @type {HTMLElement} */ (document.querySelector("[data-token-new]"));
const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("revoke"));
const problem = /** @type {HTMLElement} */ (document.getElementById("token-error"));
const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
let revoked = "";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  const days = Number(fields.get("expires_days"));
  const name = String(fields.get("name")).trim();
  submit.disabled = true;
  await attempt(async () => {
    const expires_at = days ? new Date(Date.now() + days * DAY_MS).toISOString() : null;
    const scopes = [fields.get("scope")];
    const workspace = String(fields.get("workspace")).trim() || null;
    show((await call("POST", form.action, { name, expires_at, scopes, workspace })).token);
    form.reset();
  });
  submit.disabled = false;
});

document.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-revoke]")
  );
  if (!button) return;
  revoked = button.dataset.revoke ?? "";
  /** @type {HTMLElement} */ (dialog.querySelector("[data-revoke-name]")).textContent = button.dataset.name ?? "";
  dialog.returnValue = "";
  dialog.showModal();
});
dialog.addEventListener("close", () => {
  if (dialog.returnValue === "confirm") attempt(() => call("DELETE", `${form.getAttribute("action")}/${revoked}`));
});

comeBack();
submit.disabled = false; // off until here, because the API does not take what a form sends by itself

/** @param {() => Promise<void>} action */
async function attempt(action) {
  problem.hidden = true;
  try {
    await action();
    refresh();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "confirmation_needed") return leave();
    const [field] = Object.keys(error.fields);
    problem.textContent = field ? `${field[0].toUpperCase()}${field.slice(1)}: ${error.fields[field]}` : error.message;
    problem.hidden = false;
  }
}

/** To the page that asks who it is, and back here with what is in the form. */
function leave() {
  sessionStorage.setItem(KEPT, JSON.stringify([...new FormData(form)]));
  location.assign(form.dataset.confirm ?? "");
}

function comeBack() {
  for (const [name, value] of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) {
    const field = /** @type {HTMLInputElement | RadioNodeList | null} */ (form.elements.namedItem(name));
    if (field) field.value = value;
  }
  sessionStorage.removeItem(KEPT);
}

/** @param {string} text */
function show(text) {
  /** @type {HTMLElement} */ (panel.querySelector("[data-token-text]")).textContent = text;
  /** @type {HTMLElement} */ (panel.querySelector("[data-copy]")).dataset.copy = text;
  panel.hidden = false;
}
