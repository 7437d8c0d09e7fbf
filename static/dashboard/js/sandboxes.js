/** The list of sandboxes: told of changes, asking by itself while that is away. */

import "./deeds.js";
import "./list.js";
import "./poll.js";
import { refresh } from "./live.js";
import { Reconnecting } from "./socket.js";

new Reconnecting(() => "/ws/jobs", { onMessage: () => refresh(), onState: () => refresh() });
