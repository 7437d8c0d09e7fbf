/** Light, dark, or as the system has it; boot.js remembers. */

export function setUpTheme() {
  const theme = /** @type {any} */ (globalThis).magsTheme;
  const choices = /** @type {HTMLElement | null} */ (document.querySelector("[data-themes]"));
  if (!choices) return;

  const show = () => {
    for (const button of choices.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === theme.get()));
    }
  };
  choices.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest("button");
    if (button) theme.set(button.value);
    show();
  });
  choices.hidden = false;
  show();
}
