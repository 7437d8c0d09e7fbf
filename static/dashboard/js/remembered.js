/**
 * Which shell a tab's terminal has, over reloads of the page. Each tab has its own: what the browser
 * keeps for a session is not shared between tabs.
 */
export class Remembered {
  /** @param {string} path of the terminal's socket */
  constructor(path) {
    this._key = `mags-terminal:${path}`;
    this.execId = newId();
    this.offset = 0; // of the output that the page before had dealt with
    try {
      const { execId, offset } = JSON.parse(sessionStorage.getItem(this._key) ?? "{}");
      if (/^[0-9a-f]{32}$/.test(execId)) this.execId = execId;
      this.offset = Number(offset) || 0;
    } catch {
      // Storage is off, or was meddled with: a shell of its own for every load.
    }
    this._write();
  }

  /** @param {number} offset */
  reached(offset) {
    this.offset = offset;
    this._write();
  }

  /** The next shell is another one. */
  renew() {
    this.execId = newId();
    this.reached(0);
  }

  _write() {
    try {
      sessionStorage.setItem(this._key, JSON.stringify({ execId: this.execId, offset: this.offset }));
    } catch {
      // As above.
    }
  }
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID() is for HTTPS only
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
