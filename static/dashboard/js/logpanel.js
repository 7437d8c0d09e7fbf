/** The log with what is around it: state, search, toggles, following. */

import { parse } from "./ansi.js";
import { count } from "./format.js";
import { onKey } from "./keys.js";
import { LineStore } from "./lines.js";
import { LogSearch } from "./logsearch.js";
import { followLogs } from "./logstream.js";
import { LogView } from "./logview.js";

const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  ended: "Ended",
  refused: "Not available",
};

/**
 * @param {HTMLElement} panel
 * @param {string} path the log socket's address
 * @param {{onChange: () => void}} options called when the job itself changed, or may have
 * @returns {import("./socket.js").Reconnecting}
 */
export function setUpLog(panel, path, { onChange }) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (panel.querySelector(selector));
  const store = new LineStore();
  const view = new LogView(find("[data-log-box]"), store);
  const search = new LogSearch(store);
  const isFinalAtLoad = panel.dataset.final === "true";
  let seen = 0; // lines when following stopped

  const state = find("[data-log-state]");
  const follow = find("[data-log-follow]");
  const empty = find("[data-log-empty]");

  function showCounts() {
    find("[data-log-count]").textContent = count(store.length, "line", "lines");
    const missed = store.length - seen;
    follow.hidden = view.isFollowing || (state.dataset.state === "ended" && missed === 0);
    follow.textContent = missed > 0 ? `↓ ${count(missed, "new line", "new lines")}` : "↓ Follow";
  }

  view.addEventListener("follow", () => {
    seen = store.length;
    showCounts();
  });
  follow.addEventListener("click", () => view.follow());
  view.addEventListener("open", (event) => showLine(/** @type {CustomEvent} */ (event).detail));

  const socket = followLogs(path, {
    onEntries(entries) {
      for (const entry of entries) store.append(entry);
      const from = store.changedFrom;
      store.changedFrom = store.length;
      search.changed(from);
      view.changed(from);
      empty.hidden = true;
      showCounts();
    },
    onStatus: onChange,
    onEnd() {
      onChange();
      empty.textContent = "The job ended without output.";
      empty.hidden = store.length > 0;
      showCounts();
    },
    onState(name) {
      state.dataset.state = name;
      state.textContent = name === "live" && isFinalAtLoad ? "Loading" : STATES[name];
      if (name === "live" && !store.length) {
        empty.textContent = isFinalAtLoad ? "" : "Output appears here as it is printed.";
        empty.hidden = false;
      }
      if (name === "refused") onChange(); // signed out, or the job is gone: the page finds out
      showCounts();
    },
  });

  setUpSearch(panel, view, search);
  setUpToggles(panel, view);
  onKey("f", () => view.follow());
  return socket;

  /** @param {number} line */
  function showLine(line) {
    const dialog = /** @type {HTMLDialogElement} */ (find("[data-line-dialog]"));
    const text = parse(store.texts[line]).segments.map((segment) => segment.text).join("");
    const missing = store.dropped.get(line) ?? 0;
    const rest = missing ? `, ${count(missing, "more character is", "more are")} in the download` : "";
    find("#line-title").textContent = `Line ${(line + 1).toLocaleString("en")} (${count(text.length, "character", "characters")}${rest})`;
    find("[data-line-dialog] pre").textContent = text;
    find("[data-line-dialog] [data-copy]").dataset.copy = text;
    dialog.showModal();
  }
}

/** @param {HTMLElement} panel @param {LogView} view @param {LogSearch} search */
function setUpSearch(panel, view, search) {
  const form = /** @type {HTMLFormElement} */ (panel.querySelector("[data-log-find]"));
  const input = /** @type {HTMLInputElement} */ (form.querySelector("input"));
  const output = /** @type {HTMLOutputElement} */ (form.querySelector("output"));
  const filter = /** @type {HTMLButtonElement} */ (form.querySelector("[data-toggle=filter]"));
  let isFirst = true;

  const isFiltering = () => filter.getAttribute("aria-pressed") === "true" && search.pattern !== null;

  function show() {
    const { matches, pattern, isDone } = search;
    const at = matches.indexOf(view.currentLine);
    if (!pattern) output.textContent = "";
    else if (at >= 0) output.textContent = `${(at + 1).toLocaleString("en")} of ${matches.length.toLocaleString("en")}`;
    else output.textContent = `${count(matches.length, "line", "lines")}${isDone ? "" : "…"}`;
  }

  /** @param {1 | -1} direction */
  function go(direction) {
    const from = isFirst ? Math.max(view.firstLine, 0) - direction : view.currentLine;
    const line = search.next(from, direction);
    if (line < 0) return;
    isFirst = false;
    view.reveal(line);
    show();
  }

  search.addEventListener("matches", () => {
    if (isFiltering()) view.filter(search.matches);
    show();
  });
  input.addEventListener("input", () => {
    isFirst = true;
    view.currentLine = -1;
    search.set(input.value);
    view.highlight = search.pattern;
    view.filter(isFiltering() ? search.matches : null);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(1);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      go(-1);
    }
    if (event.key === "Escape") view.box.focus();
  });
  form.querySelector("[data-find=next]")?.addEventListener("click", () => go(1));
  form.querySelector("[data-find=previous]")?.addEventListener("click", () => go(-1));
  filter.addEventListener("click", () => {
    toggle(filter);
    view.filter(isFiltering() ? search.matches : null);
  });
  onKey("/", () => input.select());
  onKey("n", () => go(1));
  onKey("N", () => go(-1));
}

/** @param {HTMLElement} panel @param {LogView} view */
function setUpToggles(panel, view) {
  const wrap = /** @type {HTMLButtonElement} */ (panel.querySelector("[data-toggle=wrap]"));
  const times = /** @type {HTMLButtonElement} */ (panel.querySelector("[data-toggle=times]"));
  wrap.addEventListener("click", () => view.wrap(toggle(wrap)));
  times.addEventListener("click", () => view.showTimes(toggle(times)));
  onKey("w", () => wrap.click());
  onKey("t", () => times.click());
}

/** @param {HTMLButtonElement} button */
function toggle(button) {
  const isOn = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(isOn));
  return isOn;
}
