/** Hosts: how full they are, and when they were last heard of, changes all the time and is not told of. */

import { refresh } from "./live.js";

const LOOK_MS = 5000; // as often as hosts let us hear of them

setInterval(refresh, LOOK_MS);
