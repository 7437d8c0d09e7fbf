// Runs before anything else of a page. Not a module: modules wait until the page is parsed.

// A page whose script or style did not arrive is loaded again, a few times: browsers drop what is under
// way when a network interface comes or goes, and half a page is worse than a late one.
(() => {
  const KEY = "mags-reloads";
  const LIMIT = 3;
  let isWhole = true;

  const again = () => {
    try {
      const reloads = Number(sessionStorage.getItem(KEY)) + 1;
      sessionStorage.setItem(KEY, String(reloads));
      if (reloads <= LIMIT) location.reload();
    } catch {
      // Without storage nobody counts: better half a page than an endless loop.
    }
  };

  addEventListener(
    "error",
    ({ target }) => {
      if (!(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement) || !isWhole) return;
      isWhole = false;
      again();
    },
    true,
  );
  addEventListener("load", () => isWhole && sessionStorage.removeItem(KEY));
})();

// What only scripts make work is shown only where they run (base.css).
document.documentElement.dataset.scripts = "";

// The theme, before the first paint, so that a remembered one never flashes.
(() => {
  const KEY = "mags-theme";
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is off: follow the system
    }
  };

  const apply = (/** @type {string | null} */ theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  apply(stored());
  addEventListener("storage", (event) => event.key === KEY && apply(event.newValue));
  /** @type {any} */ (globalThis).magsTheme = {
    get: () => root.dataset.theme ?? "system",
    set: (/** @type {string} */ theme) => {
      apply(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // It holds for this page only.
      }
    },
  };
})();
