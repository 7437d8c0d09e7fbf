/** What every signed-in page does: the menu, the theme, copying, dialogs, keys. */

import { onKey } from "./keys.js";

const theme = /** @type {any} */ (globalThis).magsTheme;

/** Say a word that goes away again. @param {string} text @param {number} [shown_ms] */
export function toast(text, shown_ms = 1600) {
  const element = document.getElementById("toast");
  if (!element) return;
  element.textContent = text;
  element.classList.add("is-shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => element.classList.remove("is-shown"), shown_ms);
}
toast.timer = 0;

/** @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text); // plain HTTP on another host than this one has no clipboard API
  }
  toast("Copied");
}

/** @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const copied = /** @type {HTMLElement | null} */ (target.closest("[data-copy]"));
  if (copied) copyText(copied.dataset.copy ?? "");
  const copies = /** @type {HTMLElement | null} */ (target.closest("[data-copies]"));
  if (copies) copyText(document.getElementById(copies.dataset.copies ?? "")?.textContent ?? "");
  const closer = /** @type {HTMLElement | null} */ (target.closest("[data-closes]"));
  if (closer) /** @type {HTMLDialogElement} */ (document.getElementById(closer.dataset.closes ?? "")).close();
  const opener = /** @type {HTMLElement | null} */ (target.closest("[data-opens]"));
  if (opener) openDialog(opener.dataset.opens ?? "");
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(target) || opener) menu.removeAttribute("open");
  }
});

/** @param {string} id */
function openDialog(id) {
  const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById(id));
  if (dialog && !dialog.open) dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details[data-menu][open]");
  if (event.key === "Escape" && menu) {
    menu.removeAttribute("open");
    menu.querySelector("summary")?.focus();
  }
});

const themes = document.querySelector("[data-themes]");
function showTheme() {
  for (const button of themes?.querySelectorAll("button") ?? []) {
    button.setAttribute("aria-pressed", String(button.value === theme.get()));
  }
}
themes?.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest("button");
  if (button) theme.set(button.value);
  showTheme();
});
showTheme();

// A second click on a form that creates something does nothing.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("data-sent")) event.preventDefault();
    form.setAttribute("data-sent", "");
  });
}
// Pages that the browser kept and shows again may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});

// The palette comes when it is first asked for.
const find = () => import("./palette.js").then(({ open }) => open());
document.addEventListener("keydown", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (event.key !== "k" || event.shiftKey || event.altKey || event.ctrlKey === event.metaKey) return;
  // In a terminal it is the shell's, and some pages have none.
  if (target.closest(".xterm") || !document.getElementById("palette")) return;
  event.preventDefault();
  find();
});
for (const button of document.querySelectorAll("[data-finds]")) button.addEventListener("click", find);
if (/mac|iphone|ipad/i.test(navigator.userAgent)) {
  for (const key of document.querySelectorAll("[data-finder-key]")) key.textContent = "⌘ K";
}

onKey("?", () => openDialog("shortcuts"));
for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-key]"))) {
  onKey(link.dataset.key ?? "", () => link.click());
}
