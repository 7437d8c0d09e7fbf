/** Uploads: chosen or dropped, one after the other, each with its progress. */

import { ApiError } from "./api.js";
import "./deeds.js";
import { refresh } from "./live.js";
import { size } from "./format.js";
import { upload } from "./upload.js";

const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-drop]"));
const input = /** @type {HTMLInputElement} */ (form.querySelector("[type=file]"));
const list = /** @type {HTMLElement} */ (document.querySelector("[data-uploads]"));
const status = /** @type {HTMLElement} */ (document.querySelector("[data-upload-status]"));
const limit = Number(form.dataset.limit);
let queue = Promise.resolve();

input.addEventListener("change", () => {
  add([...(input.files ?? [])]);
  input.value = ""; // so that the same file can be chosen again
});
form.addEventListener("submit", (event) => event.preventDefault());

// Dropped anywhere else on the page, a file would be opened instead of the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.toggle("is-over", Boolean(event.dataTransfer?.types.includes("Files")));
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("is-over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("is-over");
  add([...(event.dataTransfer?.files ?? [])]);
});
addEventListener("beforeunload", (event) => {
  if (list.querySelector("progress")) event.preventDefault(); // the browser asks: an upload would be lost
});

/** @param {File[]} files */
function add(files) {
  for (const file of files) {
    const line = new Line(file);
    if (file.size > limit) line.fail(`${size(file.size)} are over the limit of ${size(limit)}.`);
    else queue = queue.then(() => line.send());
  }
}

/** A file on its way. */
class Line {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.stop = new AbortController();
    this.item = document.createElement("li");
    this.progress = document.createElement("progress");
    this.progress.setAttribute("aria-label", `Upload of ${file.name}`);
    this.progress.value = 0;
    this.said = document.createElement("span");
    this.said.className = "soft num";
    this.said.textContent = "Waiting";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "button is-bare";
    this.button.textContent = "Cancel";
    this.button.addEventListener("click", () => this.cancel());
    const name = document.createElement("bdi");
    name.className = "truncate";
    name.textContent = file.name;
    this.item.append(name, this.progress, this.said, this.button);
    list.append(this.item);
    list.hidden = false;
  }

  async send() {
    if (this.stop.signal.aborted) return;
    try {
      await upload(form.dataset.href ?? "", this.file, this.stop.signal, (sent) => this.show(sent));
      status.textContent = `${this.file.name} is uploaded.`;
      this.remove();
      refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.fail(`${error.message} ${error.remediation}`.trim());
    }
  }

  /** @param {number} sent bytes */
  show(sent) {
    this.progress.value = this.file.size ? sent / this.file.size : 1;
    this.said.textContent = sent < this.file.size ? `${size(sent)} of ${size(this.file.size)}` : "Being stored";
  }

  /** @param {string} text */
  fail(text) {
    this.progress.remove();
    this.said.className = "is-bad";
    this.said.textContent = text;
    this.button.textContent = "Dismiss";
    status.textContent = `${this.file.name}: ${text}`;
  }

  cancel() {
    this.stop.abort();
    this.remove();
  }

  remove() {
    this.item.remove();
    list.hidden = list.childElementCount === 0;
  }
}

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("file-use"));
const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (dialog.querySelector(selector));
const example = find("[data-command=file-job] code").textContent ?? "";

document.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-use]"));
  if (!button) return;
  const { use = "", name = "" } = button.dataset;
  find("[data-use-name]").textContent = name;
  fill("file-id", use);
  fill("file-job", example.replace("FILE_ID", use));
  dialog.showModal();
});

/** @param {string} name @param {string} text */
function fill(name, text) {
  find(`[data-command=${name}] code`).textContent = text;
  find(`[data-command=${name}] [data-copy]`).dataset.copy = text;
}
