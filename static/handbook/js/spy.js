/** Marks in the table of contents which heading one reads. */

const ABOVE = 120; // px below the top of the window: what is above that line has been read

export function setUpSpy() {
  const links = /** @type {HTMLAnchorElement[]} */ ([...document.querySelectorAll("[data-toc] a")]);
  const headings = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  if (!links.length) return;

  const mark = () => {
    const passed = headings.filter((heading) => heading && heading.getBoundingClientRect().top < ABOVE).length;
    const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const at = isAtEnd && scrollY > 0 ? links.length - 1 : Math.max(0, passed - 1);
    links.forEach((link, index) => {
      if (index === at) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  let isAsked = false;
  addEventListener(
    "scroll",
    () => {
      if (isAsked) return;
      isAsked = true;
      requestAnimationFrame(() => {
        isAsked = false;
        mark();
      });
    },
    { passive: true },
  );
  mark();
}
