/** The list of workspaces. */

import "./list.js";
import "./poll.js";
