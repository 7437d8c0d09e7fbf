/** htmx, for lists that narrow and turn pages without loading them whole; set up for our policy. */

import htmx from "htmx.org";

Object.assign(htmx.config, {
  allowEval: false, // the Content-Security-Policy forbids it
  allowScriptTags: false,
  includeIndicatorStyles: false, // as well as inline styles
  selfRequestsOnly: true,
  // Pages are private, so none of them is stored: going back asks the server again.
  historyCacheSize: 0,
  refreshOnHistoryMiss: true,
  scrollBehavior: "instant",
});

export default htmx;
