import assert from "node:assert/strict";
import { test } from "node:test";

import { RowIndex, lowerBound, rowCount } from "../../../static/dashboard/js/rows.js";

test("without wrapping a row is a line", () => {
  const rows = new RowIndex();
  rows.update(5, 0, () => 1);
  assert.equal(rows.total, 5);
  assert.equal(rows.positionAtRow(3), 3);
  assert.equal(rows.rowOf(3), 3);
});

test("a filter shows some lines", () => {
  const rows = new RowIndex();
  rows.shown = [2, 5, 9];
  rows.update(10, 0, () => 1);
  assert.equal(rows.total, 3);
  assert.equal(rows.lineAt(1), 5);
  assert.equal(rows.positionOf(5), 1);
  assert.equal(rows.positionOf(6), 2);
});

test("wrapped lines take the rows they need, also when the last ones change", () => {
  const needed = [1, 1, 3, 1];
  const rows = new RowIndex();
  rows.columns = 10;
  rows.update(4, 0, (line) => needed[line]);
  assert.equal(rows.total, 1 + 1 + 3 + 1);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((row) => rows.positionAtRow(row)), [0, 1, 2, 2, 2, 3]);
  assert.equal(rows.rowOf(3), 5);
  needed[3] = 2;
  needed.push(1);
  rows.update(5, 3, (line) => needed[line]);
  assert.equal(rows.total, 1 + 1 + 3 + 2 + 1);
  assert.equal(rows.positionAtRow(7), 4);
});

test("lowerBound", () => {
  assert.deepEqual([0, 1, 2, 3, 9].map((n) => lowerBound([1, 3, 3, 5], n)), [0, 0, 1, 1, 4]);
});

test("how many rows a text takes", () => {
  assert.equal(rowCount("", 10), 1);
  assert.equal(rowCount("a".repeat(10), 10), 1);
  assert.equal(rowCount("a".repeat(11), 10), 2);
  assert.equal(rowCount("日本語日本語", 10), 2);
  assert.equal(rowCount("a\tb", 8), 2);
  assert.equal(rowCount("😀😀", 3), 2);
  assert.equal(rowCount("日", 1), 1);
  assert.equal(rowCount("e\u0301".repeat(10), 10), 1);
});
