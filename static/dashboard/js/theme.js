// Runs before the first paint, so a remembered theme never flashes. Not a module: modules wait.
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
