import assert from "node:assert/strict";
import { test } from "node:test";

import {
  BOLD, DEFAULT, DIM, INVERSE, ITALIC, PLAIN, RGB, UNDERLINE,
  applySgr, cssColour, parse, plain, styleAfter,
} from "../../../static/dashboard/js/ansi.js";

const sgr = (params, style = PLAIN) => applySgr(style, params);

test("the sixteen colours", () => {
  assert.equal(sgr("31").fg, 1);
  assert.equal(sgr("97").fg, 15);
  assert.equal(sgr("42").bg, 2);
  assert.equal(sgr("104").bg, 12);
  assert.equal(sgr("39", sgr("31")).fg, DEFAULT);
  assert.equal(sgr("49", sgr("41")).bg, DEFAULT);
});

test("256 colours and true colour, with semicolons and colons", () => {
  assert.equal(sgr("38;5;208").fg, 208);
  assert.equal(sgr("48:5:17").bg, 17);
  assert.equal(sgr("38;2;255;128;0").fg, RGB + 0xff8000);
  assert.equal(sgr("38:2::255:128:0").fg, RGB + 0xff8000);
  assert.equal(sgr("38:2:255:128:0").fg, RGB + 0xff8000);
  assert.deepEqual(sgr("38;5;208;1"), { fg: 208, bg: DEFAULT, flags: BOLD });
});

test("nonsense in colours changes nothing", () => {
  assert.deepEqual(sgr("38;5;999"), PLAIN);
  assert.deepEqual(sgr("38;2;1;2"), PLAIN);
  assert.deepEqual(sgr("38;9;1"), { fg: DEFAULT, bg: DEFAULT, flags: BOLD });
  assert.deepEqual(sgr("constructor;__proto__;77;?25"), PLAIN);
});

test("flags go on and off", () => {
  const all = sgr("1;2;3;4;7");
  assert.equal(all.flags, BOLD | DIM | ITALIC | UNDERLINE | INVERSE);
  assert.equal(sgr("22", all).flags, ITALIC | UNDERLINE | INVERSE);
  assert.equal(sgr("4:0", all).flags & UNDERLINE, 0);
  assert.equal(sgr("4:3").flags, UNDERLINE);
  assert.deepEqual(sgr("", all), PLAIN);
  assert.deepEqual(sgr("0", all), PLAIN);
});

test("a line becomes segments and its last style carries over", () => {
  const { segments, style } = parse("a\x1b[31mb\x1b[1mc");
  assert.deepEqual(segments.map((s) => [s.text, s.style.fg, s.style.flags]), [
    ["a", DEFAULT, 0], ["b", 1, 0], ["c", 1, BOLD],
  ]);
  assert.deepEqual(parse("next", style).segments[0].style, { fg: 1, bg: DEFAULT, flags: BOLD });
  assert.deepEqual(styleAfter("plain", style), style);
  assert.deepEqual(styleAfter("x\x1b[0m", style), PLAIN);
});

test("other sequences are taken out", () => {
  assert.equal(plain("\x1b[2K\x1b[1Adone\x1b[?25h"), "done");
  assert.equal(plain("\x1b]0;title\x07text"), "text");
  assert.equal(plain("\x1b]8;;https://x.example\x1b\\link\x1b]8;;\x1b\\"), "link");
  assert.equal(plain("\x1bPq#0\x1b\\after"), "after");
  assert.equal(plain("\x1b(Bplain\x1bc"), "plain");
  assert.equal(plain("\x9b31mred"), "red");
});

test("an unfinished sequence hides nothing", () => {
  assert.equal(plain("\x1b]0;the rest stays"), "␛]0;the rest stays");
  assert.equal(plain("end\x1b["), "end␛[");
  assert.equal(plain("end\x1b"), "end␛");
});

test("controls and reordering marks are visible", () => {
  assert.equal(plain("a\x00b\x07c\x7f"), "a␀b␇c␡");
  assert.equal(plain("x\u202ey\u2066"), "x\\u202ey\\u2066");
  assert.equal(plain("\x85"), "\\u0085");
  assert.equal(plain("tab\tstays"), "tab\tstays");
});

test("a carriage return starts the line again", () => {
  assert.equal(plain("10%\r20%\r30%"), "30%");
  assert.equal(plain("10%\r20%\r"), "20%");
  assert.equal(plain("windows\r"), "windows");
  assert.equal(plain("10%\r20%\r\x1b[K\x1b[0m"), "20%");
  assert.equal(parse("\x1b[32m10%\r100%").segments[0].style.fg, 2);
});

test("backspace takes a character back", () => {
  assert.equal(plain("a|\b/\b-"), "a-");
  assert.equal(plain("\b\bx"), "x");
  assert.equal(plain("é😀\b!"), "é!");
});

test("text that looks like markup stays text", () => {
  assert.equal(plain("<script>alert(1)</script>\x1b[31m&amp;"), "<script>alert(1)</script>&amp;");
});

test("palette colours", () => {
  assert.equal(cssColour(16), "rgb(0, 0, 0)");
  assert.equal(cssColour(208), "rgb(255, 135, 0)");
  assert.equal(cssColour(255), "rgb(238, 238, 238)");
  assert.equal(cssColour(RGB + 0x00ff80), "#00ff80");
});

for (const [name, unit] of [
  ["ESC", "\x1b"], ["string starts", "\x9d"], ["CSI starts", "\x1b["], ["OSC starts", "\x1b]"],
  ["backspaces", "aaaaaaa\b"], ["colours", "\x1b[1;31mx"], ["carriage returns", "x\r"],
]) {
  test(`200 KB of ${name} takes no time to speak of`, () => {
    const text = unit.repeat(Math.ceil(200_000 / unit.length));
    const before = performance.now();
    parse(text);
    assert.ok(performance.now() - before < 1000);
  });
}
test("a long run of backspaces takes no time to speak of", () => {
  const before = performance.now();
  assert.equal(plain("a".repeat(100_000) + "\b".repeat(100_001)), "");
  assert.ok(performance.now() - before < 1000);
});
