/**
 * Panels of which one is shown. The address says which, so a reload and a link come back to it: `#timeline`
 * is the panel with the id `panel-timeline`, which the browser does not jump to.
 */

const PREFIX = "panel-";

/**
 * @param {HTMLElement} list the tabs; each names its panel by `aria-controls`
 * @param {(name: string, isEntered: boolean) => void} onShow as in the address, and whether its tab was pressed
 *   or named by the address, not just walked over
 */
export function setUpTabs(list, onShow) {
  const tabs = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  const panelOf = (/** @type {Element} */ tab) =>
    /** @type {HTMLElement} */ (document.getElementById(tab.getAttribute("aria-controls") ?? ""));
  const nameOf = (/** @type {Element} */ tab) => panelOf(tab).id.slice(PREFIX.length);

  /** @param {HTMLElement} shown @param {boolean} isEntered */
  function show(shown, isEntered) {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === shown));
      tab.tabIndex = tab === shown ? 0 : -1;
      panelOf(tab).hidden = tab !== shown;
    }
    onShow(nameOf(shown), isEntered);
  }

  /** @param {HTMLElement} tab @param {boolean} isEntered */
  function choose(tab, isEntered) {
    history.replaceState(null, "", tab === tabs[0] ? location.pathname : `#${nameOf(tab)}`);
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
  const named = () => tabs.find((tab) => `#${nameOf(tab)}` === location.hash);
  addEventListener("hashchange", () => show(named() ?? tabs[0], Boolean(named())));
  show(named() ?? tabs[0], Boolean(named()));
}
