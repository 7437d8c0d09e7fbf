/** The list of workspaces. */

import "./list.js";
