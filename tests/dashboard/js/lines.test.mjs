import assert from "node:assert/strict";
import { test } from "node:test";

import { plain } from "../../../static/dashboard/js/ansi.js";
import { HELD_LINES, KEPT_CHARS, LineStore } from "../../../static/dashboard/js/lines.js";

const AT = "2026-11-23T07:00:00.000Z";
const entry = (message, more = {}) => ({ timestamp: AT, message, stream: "stdout", ...more });
const store = (...entries) => {
  const lines = new LineStore();
  for (const one of entries) lines.append(one);
  return lines;
};

test("lines keep their text, time and stream", () => {
  const lines = store(entry("a"), entry("b", { stream: "stderr" }), entry("note", { source: "platform" }));
  assert.deepEqual(lines.texts, ["a", "b", "note"]);
  assert.deepEqual([0, 1, 2].map((n) => lines.stream(n)), ["stdout", "stderr", "platform"]);
  assert.equal(lines.times[0], Date.parse(AT));
});

test("a partial line goes on in the next entry of its stream only", () => {
  const lines = store(
    entry("he", { partial: true }),
    entry("err", { stream: "stderr" }),
    entry("llo"),
    entry("next"),
  );
  assert.deepEqual(lines.texts, ["hello", "err", "next"]);
});

test("a partial entry that is empty ends or goes on like any other", () => {
  assert.deepEqual(store(entry("", { partial: true }), entry("x"), entry("y")).texts, ["x", "y"]);
  assert.deepEqual(store(entry("x", { partial: true }), entry(""), entry("y")).texts, ["x", "y"]);
});

const bytes = (...values) => Buffer.from(values).toString("base64");

test("a character cut in two by an entry's end is whole again", () => {
  const [first, second] = [bytes(0x61, 0xf0, 0x9f), bytes(0x98, 0x80, 0x0a)];
  const lines = store(
    entry("a\ufffd", { partial: true, base64: first }),
    entry("other", { stream: "stderr" }),
    entry("\ufffd", { base64: second }),
    entry("next"),
  );
  assert.deepEqual(lines.texts, ["a😀", "other", "next"]);
});

test("bytes that are no characters show as such", () => {
  assert.deepEqual(store(entry("\ufffd", { base64: bytes(0xff, 0x0a) })).texts, ["\ufffd"]);
  const cut = store(entry("\ufffd", { partial: true, base64: bytes(0xf0, 0x9f) }), entry("x"));
  assert.deepEqual(cut.texts, ["\ufffdx"]);
});

test("colours carry across lines, for each stream by itself", () => {
  const lines = store(
    entry("\x1b[31mred"), entry("plain", { stream: "stderr" }), entry("still red\x1b[0m"), entry("done"),
  );
  assert.deepEqual([0, 1, 2, 3].map((n) => lines.style(n).fg), [-1, -1, 1, -1]);
});

test("colours that came in pieces are read whole", () => {
  const lines = store(entry("a\x1b[3", { partial: true }), entry("1mb"), entry("c"));
  assert.equal(plain(lines.texts[0]), "ab");
  assert.equal(lines.style(2 - 1).fg, 1);
});

test("changedFrom names the first line that changed", () => {
  const lines = store(entry("a"), entry("b", { partial: true }), entry("e", { stream: "stderr" }));
  lines.changedFrom = lines.length;
  lines.append(entry("c"));
  assert.equal(lines.changedFrom, 1);
});

test("of an endless line a part is kept and the rest is counted", () => {
  const lines = new LineStore();
  const piece = "x".repeat(64 * 1024);
  for (let i = 0; i < 40; i += 1) lines.append(entry(piece, { partial: true }));
  assert.equal(lines.length, 1);
  assert.equal(lines.texts[0].length, KEPT_CHARS);
  assert.equal(lines.dropped.get(0), 40 * piece.length - KEPT_CHARS);
});

test("a progress bar of any length keeps its last state and colour", () => {
  const lines = new LineStore();
  lines.append(entry("\x1b[32m", { partial: true }));
  for (let i = 0; i < 5000; i += 1) lines.append(entry(`${i} of 5000\r`, { partial: true }));
  lines.append(entry(""));
  assert.ok(lines.texts[0].length < 5000);
  assert.equal(plain(lines.texts[0]), "4999 of 5000");
  assert.equal(lines.style(0).fg, 2);
});

test("a million lines", () => {
  const lines = new LineStore();
  const before = performance.now();
  for (let i = 0; i < 1_000_000; i += 1) lines.append(entry(`line ${i}`));
  assert.ok(performance.now() - before < 10_000);
  assert.equal(lines.length, 1_000_000);
  assert.equal(lines.texts[999_999], "line 999999");
  assert.equal(lines.times[999_999], Date.parse(AT));
});

/** A store that was given so many lines of ten bytes each, without being trimmed. */
const full = (lines) => {
  const made = new LineStore();
  for (let n = 0; n < lines; n += 1) made.append(entry(`line ${n}`, { offset: n * 10 }));
  return made;
};

test("a full store lets go of its oldest lines, and the others keep their numbers", () => {
  const lines = full(HELD_LINES - 1);
  assert.equal(lines.isFull, false);
  lines.append(entry("last", { stream: "stderr" }));
  assert.equal(lines.isFull, true);
  lines.trim();
  assert.equal(lines.isFull, false);
  assert.equal(lines.first, HELD_LINES / 4);
  assert.equal(lines.length, HELD_LINES);
  assert.equal(lines.text(lines.first), `line ${lines.first}`);
  assert.deepEqual([lines.text(HELD_LINES - 1), lines.stream(HELD_LINES - 1)], ["last", "stderr"]);
});

test("what goes on of a line that is not held is left out", () => {
  const lines = new LineStore();
  lines.append(entry("begun", { partial: true, stream: "stderr" }));
  for (let n = 1; n < HELD_LINES; n += 1) lines.append(entry("x"));
  lines.trim();
  lines.append(entry(" and ended", { stream: "stderr" }));
  lines.append(entry("next", { stream: "stderr" }));
  assert.deepEqual([lines.length, lines.text(HELD_LINES)], [HELD_LINES + 1, "next"]);
});

test("reading begins anew where a line begins, in the colours it had", () => {
  const lines = new LineStore();
  for (let n = 0; n < 25_000; n += 1) lines.append(entry(n === 9_999 ? "\x1b[31mred" : `line ${n}`, { offset: n * 10 }));
  assert.equal(lines.rewind(19_999), 100_000);
  assert.deepEqual([lines.first, lines.length], [10_000, 10_000]);
  lines.append(entry("line 10000", { offset: 100_000 }));
  assert.deepEqual([lines.text(10_000), lines.style(10_000).fg], ["line 10000", 1]);
  assert.equal(lines.rewind(3), 0);
});
