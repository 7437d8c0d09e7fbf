/** The list of jobs: a form that runs one, and a choice of several to stop. */

import { setUpChoice } from "./choice.js";
import { setUpComposer } from "./composer.js";
import "./list.js";

setUpComposer(
  /** @type {HTMLElement} */ (document.querySelector("[data-composer]")),
  document.querySelector("[data-composer-open]"),
);
setUpChoice(/** @type {HTMLElement} */ (document.getElementById("bulk")));
