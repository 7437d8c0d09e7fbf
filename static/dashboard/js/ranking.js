/** Which entries fit some words, the best first. */

/**
 * Those whose label has every word: first where the label begins with what was typed, then where a word of
 * it does, then the rest; each as they were.
 *
 * @template {{label: string}} T
 * @param {T[]} entries
 * @param {string} typed
 * @returns {T[]}
 */
export function ranked(entries, typed) {
  const wanted = typed.trim().toLowerCase();
  const words = wanted.split(/\s+/);
  const fitting = entries.filter(({ label }) => words.every((word) => label.toLowerCase().includes(word)));
  return fitting.sort((a, b) => rank(a.label, wanted) - rank(b.label, wanted)); // is stable
}

/** @param {string} label @param {string} wanted */
function rank(label, wanted) {
  const text = label.toLowerCase();
  if (text.startsWith(wanted)) return 0;
  return text.includes(` ${wanted}`) ? 1 : 2;
}
