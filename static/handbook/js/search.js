/**
 * Results while one types. The server renders them for the page of the search, which works without scripts; the
 * field in the bar shows the same list below itself.
 */

const PAUSE_MS = 120;
const ADDRESS = "/docs/search";

export function setUpSearch() {
  for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("[data-search]"))) {
    const place = /** @type {HTMLElement | null} */ (
      form.querySelector("[data-results]") ?? document.getElementById("results")
    );
    if (place) setUp(form, place);
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = /** @type {Element} */ (event.target).closest("input, textarea, select");
    const isAsked = (event.key === "/" && !isTyping) || (event.key === "k" && (event.ctrlKey || event.metaKey));
    if (!isAsked) return;
    event.preventDefault();
    visibleField()?.select();
  });
}

function visibleField() {
  const fields = /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("[data-search] input")]);
  const field = fields.find((each) => each.checkVisibility());
  if (!field) location.assign(ADDRESS); // on phones the bar has only a link
  return field;
}

/** @param {HTMLFormElement} form @param {HTMLElement} place */
function setUp(form, place) {
  const field = /** @type {HTMLInputElement} */ (form.querySelector("input"));
  const isBelow = form.contains(place);
  let timer = 0;
  let asked = "";

  const close = () => isBelow && (place.hidden = true);
  const links = () => /** @type {HTMLElement[]} */ ([...place.querySelectorAll("a")]);

  async function ask() {
    const question = field.value.trim();
    if (question === asked) {
      place.hidden = isBelow && !question;
      return;
    }
    asked = question;
    if (!question && isBelow) return close();
    const results = await fetched(question);
    if (asked !== question || !results) return; // somebody typed on, or the server is away: Enter goes there
    place.replaceChildren(...results);
    place.hidden = false;
    if (!isBelow) history.replaceState(null, "", `${ADDRESS}?${new URLSearchParams({ q: question })}`);
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
  field.addEventListener("focus", ask);
  form.addEventListener("focusout", (event) => {
    if (!form.contains(/** @type {Node | null} */ (event.relatedTarget))) close();
  });
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") {
      close();
      field.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const stops = [field, ...links()];
    const at = stops.indexOf(/** @type {HTMLInputElement} */ (document.activeElement));
    stops[(at + step + stops.length) % stops.length].focus();
  };
  form.addEventListener("keydown", onKey);
  if (!isBelow) place.addEventListener("keydown", onKey);
}

/** @param {string} question */
async function fetched(question) {
  try {
    const response = await fetch(`${ADDRESS}?${new URLSearchParams({ q: question })}`);
    if (!response.ok) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.getElementById("results")?.childNodes ?? null;
  } catch {
    return null;
  }
}
