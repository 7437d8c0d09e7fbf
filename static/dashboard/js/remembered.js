/**
 * Which shell a tab's terminal has, over reloads of the page. Each tab has its own: what the browser
 * keeps for a session is not shared between tabs.
 */
export class Remembered {
  /** @param {string} path of the terminal's socket */
  constructor(path) {
    this._key = `mags-terminal:${path}`;
    this.execId = "";
    this.offset = 0; // of the output that the page before had dealt with
    try {
      const { execId = "", offset = 0 } = JSON.parse(sessionStorage.getItem(this._key) ?? "{}");
      this.execId = String(execId);
      this.offset = Number(offset) || 0;
    } catch {
      // Storage is off, or was meddled with: a shell of its own for every load.
    }
  }

  /** @param {string} execId */
  keep(execId) {
    if (execId === this.execId) return;
    this.execId = execId;
    this._write(0);
  }

  /** @param {number} offset */
  reached(offset) {
    if (this.execId) this._write(offset);
  }

  forget() {
    this.execId = "";
    this.offset = 0;
    this._write(0);
  }

  /** @param {number} offset */
  _write(offset) {
    try {
      sessionStorage.setItem(this._key, JSON.stringify({ execId: this.execId, offset }));
    } catch {
      // As above.
    }
  }
}
