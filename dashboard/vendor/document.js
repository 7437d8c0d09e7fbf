/**
 * The page's document, for a library that writes styles inline, which our Content-Security-Policy
 * refuses. What it makes with this document goes by way of the CSSOM instead, which the policy lets
 * scripts use (docs/decisions/1160). In the bundle, `document` means this one.
 */

const page = globalThis.document;

export const strictDocument = new Proxy(page, {
  get(target, name) {
    if (name === "createElement") return createElement;
    const value = Reflect.get(target, name, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
});

/** @param {string} name @param {ElementCreationOptions} [options] */
function createElement(name, options) {
  if (name === "style") return styleElement();
  const element = page.createElement(name, options);
  element.setAttribute = setAttribute;
  return element;
}

/** @this {HTMLElement} @param {string} name @param {string} value */
function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

/** An element that shows nothing; its text is a style sheet of the page until it is removed. */
function styleElement() {
  const element = page.createElement("template");
  const sheet = new CSSStyleSheet();
  page.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", { set: (text) => sheet.replaceSync(text) });
  element.remove = () => {
    page.adoptedStyleSheets = page.adoptedStyleSheets.filter((adopted) => adopted !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}
