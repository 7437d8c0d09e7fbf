/** The list of sandboxes. */

import "./deeds.js";
import "./list.js";
