/** The log with what is around it: state, search, toggles, following. */

import { parse } from "./ansi.js";
import { copyText, toast } from "./app.js";
import { count } from "./format.js";
import { onKey } from "./keys.js";
import { LineStore } from "./lines.js";
import { LogFeed } from "./logfeed.js";
import { LogSearch } from "./logsearch.js";
import { LogView } from "./logview.js";

const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  ended: "Ended",
  refused: "Not available",
};

const LINK = /^#L([1-9]\d{0,11})$/;

/**
 * @param {HTMLElement} panel
 * @param {string} path the log socket's address
 * @param {{onChange: () => void}} options called when the job itself changed, or may have
 */
export function setUpLog(panel, path, { onChange }) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (panel.querySelector(selector));
  const store = new LineStore();
  const view = new LogView(find("[data-log-box]"), store);
  const search = new LogSearch(store);
  const isFinalAtLoad = panel.dataset.final === "true";
  let known = 0; // lines, also such as are not held any more
  let seen = 0; // lines when following stopped
  let wanted = -1; // a line that somebody's link names, and that has not come yet
  let isAsked = false;

  const state = find("[data-log-state]");
  const follow = find("[data-log-follow]");
  const empty = find("[data-log-empty]");

  const feed = new LogFeed(path, store, {
    isMoving: () => view.isFollowing || wanted >= 0,
    onLines() {
      const from = store.changedFrom;
      store.changedFrom = store.length;
      search.changed(from);
      view.changed(from);
      empty.hidden = true;
      if (wanted >= 0 && wanted < store.length) show(wanted);
      showCounts();
    },
    onTrimmed() {
      view.trimmed(); // before the matches that it may show are fewer
      search.trimmed();
      showCounts();
    },
    onRestart() {
      search.restart();
      view.restart();
      showCounts();
    },
    onStatus({ started_at }) {
      if (typeof started_at === "string") panel.dataset.started = started_at;
      onChange();
    },
    onEnd() {
      onChange();
      if (wanted >= 0) followOn(); // the link is to a line that there is not
      empty.textContent = "The job ended without output.";
      empty.hidden = known > 0;
      showCounts();
    },
    onState(name) {
      state.dataset.state = name;
      if (name === "live" && !known) {
        empty.textContent = isFinalAtLoad ? "" : "Output appears here as it is printed.";
        empty.hidden = false;
      }
      if (name === "refused") onChange(); // signed out, or the job is gone: the page finds out
      showCounts();
    },
  });

  view.addEventListener("follow", () => {
    seen = store.length;
    if (view.isFollowing && feed.isPaused) {
      if (!isAsked) view.hold(); // scrolled to the end of what is held: the next piece is to be read too
      feed.goOn();
    }
    showCounts();
  });
  follow.addEventListener("click", followOn);
  find("[data-log-earlier] button").addEventListener("click", () => {
    view.hold();
    feed.loadEarlier();
    view.box.focus();
  });
  view.addEventListener("open", (event) => showLine(/** @type {CustomEvent} */ (event).detail));
  view.addEventListener("link", (event) => {
    const line = /** @type {CustomEvent} */ (event).detail;
    history.replaceState(null, "", `#L${line + 1}`);
    show(line);
    copyText(location.href);
  });
  addEventListener("hashchange", goToLink);
  goToLink();
  setUpSearch(panel, view, search);
  setUpToggles(panel, view, store);
  onKey("f", followOn);

  function goToLink() {
    const named = LINK.exec(location.hash);
    if (!named) return;
    wanted = Number(named[1]) - 1;
    view.hold();
    if (wanted < store.first) feed.goTo(wanted);
    else if (wanted < store.length) show(wanted);
    else feed.goOn();
  }

  /** @param {number} line */
  function show(line) {
    wanted = -1;
    view.reveal(line);
  }

  function followOn() {
    wanted = -1;
    isAsked = true;
    view.follow();
    isAsked = false;
  }

  function showCounts() {
    known = Math.max(known, store.length);
    const name = /** @type {keyof typeof STATES} */ (state.dataset.state);
    const isLoading = name === "live" && isFinalAtLoad;
    state.textContent = feed?.isPaused ? "Waiting for you" : isLoading ? "Loading" : STATES[name];
    find("[data-log-count]").textContent = count(known, "line", "lines");
    find("[data-log-earlier]").hidden = store.first === 0;
    find("[data-log-gone]").textContent = `The first ${count(store.first, "line is", "lines are")} not in this page any more.`;
    const missed = store.length - seen;
    follow.hidden = view.isFollowing || (name === "ended" && missed === 0);
    follow.textContent = missed > 0 && !feed?.isPaused ? `↓ ${count(missed, "new line", "new lines")}` : "↓ Follow";
  }

  /** @param {number} line */
  function showLine(line) {
    const dialog = /** @type {HTMLDialogElement} */ (find("[data-line-dialog]"));
    const text = parse(store.text(line)).segments.map((segment) => segment.text).join("");
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
    const from = isFirst ? view.firstLine - direction : view.currentLine;
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

const TIMES = [
  { title: "Show times (t)", says: "" },
  { title: "Count times from the start (t)", says: "Times of day" },
  { title: "Hide times (t)", says: "Times since the start" },
];

/** @param {HTMLElement} panel @param {LogView} view @param {LineStore} store */
function setUpToggles(panel, view, store) {
  const wrap = /** @type {HTMLButtonElement} */ (panel.querySelector("[data-toggle=wrap]"));
  const times = /** @type {HTMLButtonElement} */ (panel.querySelector("[data-toggle=times]"));
  const error = /** @type {HTMLButtonElement} */ (panel.querySelector("[data-find=error]"));
  let shown = 0;
  wrap.addEventListener("click", () => view.wrap(toggle(wrap)));
  times.addEventListener("click", () => {
    shown = (shown + 1) % TIMES.length;
    times.setAttribute("aria-pressed", String(shown > 0));
    times.title = TIMES[shown].title;
    const began = Date.parse(panel.dataset.started ?? "") || (store.length ? store.time(store.first) : 0);
    view.since = shown === 2 ? began : 0;
    view.showTimes(shown > 0);
    if (shown) toast(TIMES[shown].says);
  });
  error.addEventListener("click", () => {
    const line = nextError(store, view.currentLine);
    if (line >= 0) view.reveal(line);
    else toast("Nothing was written to stderr");
  });
  onKey("w", () => wrap.click());
  onKey("t", () => times.click());
  onKey("e", () => error.click());
}

/** The next line of stderr, round the end. @param {LineStore} store @param {number} after */
function nextError(store, after) {
  const held = store.length - store.first;
  const from = Math.max(after + 1, store.first);
  for (let step = 0; step < held; step += 1) {
    const line = store.first + ((from - store.first + step) % held);
    if (store.stream(line) === "stderr") return line;
  }
  return -1;
}

/** @param {HTMLButtonElement} button */
function toggle(button) {
  const isOn = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(isOn));
  return isOn;
}
