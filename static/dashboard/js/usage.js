/** Charts of the usage page: the day under the pointer or the focus is said above its bars. */

const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7, Home: -Infinity, End: Infinity };

for (const chart of document.querySelectorAll("[data-chart]")) {
  const readout = /** @type {HTMLElement} */ (chart.querySelector("[data-readout]"));
  const bars = /** @type {SVGElement[]} */ ([...chart.querySelectorAll(".bar")]);

  /** @param {Element | null} bar */
  const say = (bar) => {
    readout.textContent = bar?.getAttribute("aria-label") ?? readout.dataset.rest ?? "";
  };
  const focused = () => bars.find((bar) => bar === document.activeElement) ?? null;

  for (const [at, bar] of bars.entries()) {
    bar.addEventListener("pointerenter", () => say(bar));
    bar.addEventListener("pointerleave", () => say(focused()));
    bar.addEventListener("focus", () => say(bar));
    bar.addEventListener("blur", () => say(null));
    bar.addEventListener("keydown", (event) => {
      const step = STEPS[/** @type {keyof typeof STEPS} */ (event.key)];
      if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const next = bars[Math.min(Math.max(at + step, 0), bars.length - 1)];
      bar.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }
}
