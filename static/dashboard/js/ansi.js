/**
 * Terminal output as data: SGR colours become styled segments, every other control is taken out
 * or made visible. Nothing here touches the document, and nothing here makes HTML.
 *
 * @typedef {Object} Style
 * @property {number} fg   DEFAULT, a palette index (0-255), or RGB + 24 bits
 * @property {number} bg   the same
 * @property {number} flags  a sum of BOLD, DIM, ...
 *
 * @typedef {Object} Segment
 * @property {string} text   plain text, safe to show as a text node
 * @property {Style} style
 */

export const DEFAULT = -1;
export const RGB = 0x1000000;
export const BOLD = 1;
export const DIM = 2;
export const ITALIC = 4;
export const UNDERLINE = 8;
export const INVERSE = 16;
export const STRIKE = 32;
export const HIDDEN = 64;

/** @type {Readonly<Style>} */
export const PLAIN = Object.freeze({ fg: DEFAULT, bg: DEFAULT, flags: 0 });

// C0, DEL, C1, and the marks that reorder text (a log must not lie about its order).
const SPECIAL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

// One token: CSI (its parameters and final byte are groups 1 and 2), a string sequence (OSC, DCS,
// SOS, PM, APC) that has its end, another escape, a run of ordinary text, or one odd character.
// An unfinished sequence is not a token: its ESC shows as a symbol and its text stays readable.
const TOKEN = new RegExp(
  [
    "(?:\\x1b\\[|\\x9b)([0-?]*)[ -/]*([@-~])",
    "(?:\\x1b[\\]PX^_]|[\\x90\\x98\\x9d-\\x9f])[^\\x07\\x1b\\x90\\x98\\x9c-\\x9f]*(?:\\x07|\\x1b\\\\|\\x9c)",
    "\\x1b[ -/]*[0-OQ-WYZ\\\\`-~]",
    "([^\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]+)",
    "([^])",
  ].join("|"),
  "g",
);

/** @type {Record<number, number>} */
const ON = { 1: BOLD, 2: DIM, 3: ITALIC, 4: UNDERLINE, 7: INVERSE, 8: HIDDEN, 9: STRIKE, 21: UNDERLINE };
/** @type {Record<number, number>} */
const OFF = { 22: BOLD | DIM, 23: ITALIC, 24: UNDERLINE, 27: INVERSE, 28: HIDDEN, 29: STRIKE };

/** Whether a line can be shown as it is. @param {string} text */
export function isPlain(text) {
  return !SPECIAL.test(text);
}

/**
 * A line as styled segments, and the style it leaves behind for the next line of its stream.
 * A carriage return starts the line again, so of a progress bar the last state is shown.
 *
 * @param {string} text
 * @param {Style} [style] what the stream's last line left behind
 * @returns {{segments: Segment[], style: Style}}
 */
export function parse(text, style = PLAIN) {
  if (isPlain(text)) return { segments: text ? [{ text, style }] : [], style };
  /** @type {Segment[]} */
  let pieces = [];
  let isWiped = false; // by the next character: a return alone, at the end, shows what was there
  for (const [, params, final, run, odd] of text.matchAll(TOKEN)) {
    if (final === "m") style = applySgr(style, params);
    else if (odd === "\r") isWiped = true;
    else if (odd === "\b") backspace(pieces);
    else if (run !== undefined || odd !== undefined) {
      if (isWiped) pieces = [];
      isWiped = false;
      pieces.push({ text: run ?? visible(odd), style });
    }
  }
  return { segments: joined(pieces), style };
}

/** The style a line leaves behind. @param {string} text @param {Style} style @returns {Style} */
export function styleAfter(text, style) {
  return text.includes("\x1b[") || text.includes("\x9b") ? parse(text, style).style : style;
}

/** What a line shows, without styles. @param {string} text */
export function plain(text) {
  return isPlain(text) ? text : parse(text).segments.map((segment) => segment.text).join("");
}

/**
 * @param {Style} style
 * @param {string} params the part between `ESC [` and `m`
 * @returns {Style}
 */
export function applySgr(style, params) {
  let { fg, bg, flags } = style;
  const codes = params.split(";");
  for (let i = 0; i < codes.length; i += 1) {
    const [head, ...sub] = codes[i].split(":");
    const code = Number(head || 0);
    if (code === 38 || code === 48) {
      const [colour, used] = sub.length ? [extended(sub), 0] : extendedFrom(codes, i + 1);
      i += used;
      if (colour !== null && code === 38) fg = colour;
      if (colour !== null && code === 48) bg = colour;
    } else if (code === 0) {
      fg = bg = DEFAULT;
      flags = 0;
    } else if (code === 4 && sub[0] === "0") flags &= ~UNDERLINE;
    else if (code in ON) flags |= ON[code];
    else if (code in OFF) flags &= ~OFF[code];
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code === 39) fg = DEFAULT;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code >= 100 && code <= 107) bg = code - 92;
    else if (code === 49) bg = DEFAULT;
  }
  return { fg, bg, flags };
}

/**
 * The CSS colour of a palette entry from 16 up (the first 16 belong to the theme's classes) or of
 * a true colour.
 *
 * @param {number} colour
 */
export function cssColour(colour) {
  if (colour >= RGB) return `#${(colour - RGB).toString(16).padStart(6, "0")}`;
  if (colour >= 232) return grey(8 + (colour - 232) * 10);
  const cube = colour - 16;
  const level = (/** @type {number} */ n) => (n === 0 ? 0 : 55 + n * 40);
  return `rgb(${level(Math.floor(cube / 36))}, ${level(Math.floor(cube / 6) % 6)}, ${level(cube % 6)})`;
}

/** @param {number} level */
function grey(level) {
  return `rgb(${level}, ${level}, ${level})`;
}

/** `5;n` or `2;r;g;b`, and how many codes that took. @returns {[number | null, number]} */
function extendedFrom(/** @type {string[]} */ codes, /** @type {number} */ at) {
  const length = codes[at] === "5" ? 2 : codes[at] === "2" ? 4 : 1;
  return [extended(codes.slice(at, at + length)), length];
}

/** `5:n`, `2:r:g:b` or `2::r:g:b`. @param {string[]} parts @returns {number | null} */
function extended(parts) {
  const [kind, ...values] = parts;
  if (kind === "5" && byte(values[0])) return Number(values[0]);
  if (kind !== "2") return null;
  const rgb = values.length > 3 ? values.slice(1, 4) : values;
  if (rgb.length !== 3 || !rgb.every(byte)) return null;
  return RGB + Number(rgb[0]) * 65536 + Number(rgb[1]) * 256 + Number(rgb[2]);
}

/** @param {string | undefined} value */
function byte(value) {
  return value !== undefined && /^\d{1,3}$/.test(value) && Number(value) < 256;
}

/** A control as something to see: C0 as its picture, the rest by number. @param {string} char */
function visible(char) {
  const code = char.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** @param {Segment[]} pieces */
function backspace(pieces) {
  const last = pieces.at(-1);
  if (!last) return;
  const isPair = /[\udc00-\udfff]/.test(last.text.slice(-1));
  last.text = last.text.slice(0, isPair ? -2 : -1);
  if (!last.text) pieces.pop();
}

/** Neighbours of the same style as one segment. @param {Segment[]} pieces */
function joined(pieces) {
  /** @type {Segment[]} */
  const segments = [];
  for (const { text, style } of pieces) {
    const last = segments.at(-1);
    if (last && last.style === style) last.text += text;
    else segments.push({ text, style });
  }
  return segments;
}
