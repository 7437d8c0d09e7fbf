import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { count, duration, relative, size } from "../../../static/dashboard/js/format.js";

test("durations read as the server writes them", () => {
  const table = JSON.parse(readFileSync(new URL("../durations.json", import.meta.url), "utf8"));
  for (const [ms, text] of table) assert.equal(duration(ms), text, `${ms} ms`);
});

test("times relative to now", () => {
  const now = Date.parse("2026-11-23T12:00:00Z");
  assert.equal(relative(now - 20_000, now), "just now");
  assert.equal(relative(now - 20_000, now, true), "20 s ago");
  assert.equal(relative(now + 1000, now, true), "in a moment");
  assert.equal(relative(now - 300_000, now), "5 minutes ago");
  assert.equal(relative(now - 86_400_000, now), "yesterday");
  assert.equal(relative(now + 30 * 86_400_000, now), "next month");
  assert.equal(relative(now + 20_000, now), "in a moment");
});

test("counts", () => {
  assert.equal(count(1, "line", "lines"), "1 line");
  assert.equal(count(100_000, "line", "lines"), "100,000 lines");
});

test("sizes read as the server writes them", () => {
  const table = [[0, "0 B"], [1023, "1023 B"], [1434, "1.4 KB"], [12 * 1024 ** 2, "12 MB"], [3 * 1024 ** 4, "3072 GB"]];
  for (const [bytes, text] of table) assert.equal(size(bytes), text, `${bytes} bytes`);
});
