/**
 * Panels of which one is shown. The address says which, so a reload and a link come back to it; without
 * scripts all of them show, one below the other.
 */

/**
 * @param {HTMLElement} list the tabs; each names its panel by `aria-controls`
 * @param {(name: string, isEntered: boolean) => void} onShow the panel's id, and whether its tab was pressed
 *   or named by the address, not just walked over
 */
export function setUpTabs(list, onShow) {
  const tabs = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  const panelOf = (/** @type {Element} */ tab) =>
    /** @type {HTMLElement} */ (document.getElementById(tab.getAttribute("aria-controls") ?? ""));

  /** @param {HTMLElement} shown @param {boolean} isEntered */
  function show(shown, isEntered) {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === shown));
      tab.tabIndex = tab === shown ? 0 : -1;
      panelOf(tab).hidden = tab !== shown;
    }
    onShow(panelOf(shown).id, isEntered);
  }

  /** @param {HTMLElement} tab @param {boolean} isEntered */
  function choose(tab, isEntered) {
    history.replaceState(null, "", tab === tabs[0] ? location.pathname : `#${panelOf(tab).id}`);
    show(tab, isEntered);
  }

  list.addEventListener("click", (event) => {
    const tab = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[role=tab]"));
    if (tab) choose(tab, true);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.indexOf(/** @type {HTMLElement} */ (event.target));
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    choose(next, false);
  });
  list.hidden = false;
  const named = () => tabs.find((tab) => `#${panelOf(tab).id}` === location.hash);
  addEventListener("hashchange", () => show(named() ?? tabs[0], Boolean(named())));
  show(named() ?? tabs[0], Boolean(named()));
}
