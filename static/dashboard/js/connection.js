/** Says that the server is away, or that nobody tells of changes, until that is over. */

const SILENT_MS = 1500; // a restarted server is back before anybody needs to know

const bar = document.getElementById("connection");
let isLive = true;
let isReachable = true;
let timer = 0;

/** @param {{isLive?: boolean, isReachable?: boolean}} news */
export function showConnection(news) {
  ({ isLive = isLive, isReachable = isReachable } = news);
  if (isLive) isReachable = true;
  if (isLive || !bar?.hidden) show();
  else if (!timer) timer = setTimeout(show, SILENT_MS);
}

function show() {
  clearTimeout(timer);
  timer = 0;
  if (!bar) return;
  bar.hidden = isLive;
  bar.textContent = isLive ? "" : isReachable ? "Live updates are interrupted. Reconnecting…" : "The server cannot be reached. Trying again…";
}
