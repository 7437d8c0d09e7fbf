/** The form that runs a script. Nothing that was typed is lost by an error; a double click runs once. */

import { ApiError, call } from "./api.js";
import { onKey } from "./keys.js";

const NUMBERS = ["memory_mb", "vcpus", "timeout"];

/** @param {HTMLElement} panel @param {HTMLElement | null} opener */
export function setUpComposer(panel, opener) {
  const form = /** @type {HTMLFormElement} */ (panel.querySelector("form"));
  const script = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("script"));
  const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
  let key = "";

  /** @param {boolean} isOpen */
  const show = (isOpen) => {
    panel.hidden = !isOpen;
    opener?.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) script.focus();
    else opener?.focus();
  };
  opener?.setAttribute("aria-expanded", String(!panel.hidden));
  opener?.addEventListener("click", () => show(panel.hidden || document.activeElement !== script));
  onKey("c", () => show(true));
  const byAddress = () => location.hash === "#run" && show(true);
  addEventListener("hashchange", byAddress);
  byAddress();
  panel.querySelector("[data-composer-close]")?.addEventListener("click", () => show(false));
  if (/mac|iphone|ipad/i.test(navigator.userAgent)) {
    /** @type {HTMLElement} */ (panel.querySelector("[data-run-key]")).textContent = "⌘ ↵";
  }

  // The same key for the same text: a click, its repetition and a retry after a lost answer are one job.
  form.addEventListener("input", () => (key = ""));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape") show(false);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    clearErrors(form);
    submit.disabled = true;
    key ||= randomKey();
    try {
      const job = await call("POST", form.action, read(form), { "Idempotency-Key": key });
      location.assign(`/jobs/${encodeURIComponent(job.request_id)}/`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status) key = "";
      showErrors(form, error);
      submit.disabled = false;
    }
  });
  submit.disabled = false; // off until here, because the API does not take what a form sends by itself
  addEventListener("pageshow", () => (submit.disabled = false));
}

/** @param {HTMLFormElement} form */
function read(form) {
  /** @type {Record<string, unknown>} what a job that is run again brings along */
  const body = JSON.parse(form.dataset.carried ?? "{}");
  for (const [name, value] of new FormData(form)) {
    if (typeof value !== "string" || (value === "" && name !== "script")) continue;
    body[name] = NUMBERS.includes(name) ? Number(value) : value;
  }
  return body;
}

/** @param {HTMLFormElement} form @param {ApiError} error */
function showErrors(form, error) {
  let isPlaced = false;
  for (const [name, words] of Object.entries(error.fields)) {
    const input = /** @type {HTMLElement | null} */ (form.elements.namedItem(name));
    const place = document.getElementById(`${name}-error`);
    if (!input || !place) continue;
    place.textContent = sentence(Array.isArray(words) ? words.join(" ") : String(words));
    place.hidden = false;
    input.setAttribute("aria-invalid", "true");
    input.closest("details")?.setAttribute("open", "");
    if (!isPlaced) input.focus();
    isPlaced = true;
  }
  if (isPlaced) return;
  const notice = /** @type {HTMLElement} */ (form.querySelector("[data-form-error]"));
  notice.textContent = [error.message, error.remediation].filter(Boolean).join(" ");
  notice.hidden = false;
}

/** @param {HTMLFormElement} form */
function clearErrors(form) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(".field-error, [data-form-error]"))) {
    place.hidden = true;
    place.textContent = "";
  }
}

/** @param {string} words */
function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `crypto.randomUUID` exists on secure origins only; this works everywhere. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
