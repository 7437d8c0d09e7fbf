/**
 * Makes an element like a fresh one and touches only what differs, so that the focus, selections, checked
 * boxes and open parts stay as they are. Children with an id are recognised by it, others by their place.
 */

// What scripts and people write; the server sends no styles, and does not know what is open.
const NOT_OURS = new Set(["style", "open"]);

/** @param {Element} old @param {Element} fresh the same kind of element, which may lose its children */
export function patch(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  patchAttributes(old, fresh);
  // Their text passes by itself (live.js).
  const isTicking = old.matches("[data-relative], [data-since]");
  if (!isTicking) patchChildren(old, fresh);
}

/** @param {Element} old @param {Element} fresh */
function patchAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !NOT_OURS.has(name)) old.removeAttribute(name);
  }
}

/** @param {Element} old @param {Element} fresh */
function patchChildren(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = new Set([...fresh.children].map((child) => child.id));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    // What is gone goes first: moving the others around it would cost them their focus.
    while (at instanceof Element && at.id && !wanted.has(at.id)) at = removed(at);
    const match = next instanceof Element && next.id ? known.get(next.id) : isAlike(at, next) ? at : null;
    if (!match || match.nodeName !== next.nodeName) {
      old.insertBefore(next, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    if (match instanceof Element) patch(match, /** @type {Element} */ (next));
    else if (match.nodeValue !== next.nodeValue) match.nodeValue = next.nodeValue;
  }
  while (at) at = removed(at);
}

/** @param {ChildNode | null} node @param {Node} next */
function isAlike(node, next) {
  return node?.nodeName === next.nodeName && !(node instanceof Element && node.id);
}

/** @param {ChildNode} node @returns {ChildNode | null} what came after it */
function removed(node) {
  const { nextSibling } = node;
  node.remove();
  return nextSibling;
}
