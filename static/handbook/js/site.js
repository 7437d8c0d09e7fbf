/** What every public page does: search, copying, tabs, the theme, where one is in the page. */

import { setUpCode } from "./code.js";
import { setUpSearch } from "./search.js";
import { setUpSpy } from "./spy.js";
import { setUpTheme } from "./theme.js";

setUpSearch();
setUpCode();
setUpSpy();
setUpTheme();

// On phones the navigation begins closed; without scripts it is open.
const menu = document.querySelector("[data-menu]");
const narrow = matchMedia("(width <= 48rem)");
const fold = () => menu?.toggleAttribute("open", !narrow.matches);
narrow.addEventListener("change", fold);
fold();
menu?.querySelector(".docs-nav-list [aria-current]")?.scrollIntoView({ block: "nearest" });
if (!location.hash) scrollTo(0, 0); // the line before may have moved the page as well
