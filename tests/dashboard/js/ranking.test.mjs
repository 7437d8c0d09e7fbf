import assert from "node:assert/strict";
import { test } from "node:test";

import { ranked } from "../../../static/dashboard/js/ranking.js";

const labels = (typed, ...all) => ranked(all.map((label) => ({ label })), typed).map(({ label }) => label);

test("nothing typed leaves all as they are", () => {
  assert.deepEqual(labels(" ", "b", "a"), ["b", "a"]);
});

test("every word must be there, in any order", () => {
  assert.deepEqual(labels("dark theme", "Theme: dark", "Theme: light"), ["Theme: dark"]);
});

test("a beginning comes before the beginning of a word, and that before the middle of one", () => {
  assert.deepEqual(labels("to", "Stop", "Create a token", "Tokens"), ["Tokens", "Create a token", "Stop"]);
});

test("what was typed is no pattern", () => {
  assert.deepEqual(labels(".*[", "a", "x.*[y"), ["x.*[y"]);
});
