/** What the dashboard takes from npm, as one module: see docs/decisions/1160. */

export { FitAddon } from "@xterm/addon-fit";
export { Terminal } from "@xterm/xterm";
export { strictDocument } from "./document.js";
