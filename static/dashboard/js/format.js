/** Numbers and times as people read them. The server writes durations the same way (dashboard/presentation.py). */

/** 0 ms, 85 ms, 1.2 s, 42 s, 3 min 5 s, 2 h 4 min. @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const UNITS = /** @type {const} */ ([
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
]);
const WORDS = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/**
 * "just now", "5 minutes ago", "in 3 days".
 *
 * @param {number} at @param {number} now both in ms
 * @param {boolean} [isExact] "12 s ago" instead of "just now"
 */
export function relative(at, now, isExact = false) {
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return WORDS.format(Math.trunc(seconds / size), unit);
  }
  if (isExact && seconds < 0) return `${-seconds} s ago`;
  return seconds > 0 ? "in a moment" : "just now";
}

/** @param {number} n @param {string} one @param {string} many */
export function count(n, one, many) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** 512 B, 1.4 KB, 12 MB: powers of 1024, as the server writes them. @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  let rest = bytes / 1024;
  let unit = "KB";
  for (const next of ["MB", "GB"]) {
    if (rest < 1024) break;
    rest /= 1024;
    unit = next;
  }
  return `${rest < 10 ? rest.toFixed(1) : Math.round(rest)} ${unit}`;
}
