/** One file to the API. `fetch` does not tell how much of a body is sent, so this is an XMLHttpRequest. */

import { ApiError } from "./api.js";

/**
 * @param {string} href
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {(bytes: number) => void} onProgress
 * @returns {Promise<void>} fulfilled where it was aborted, too
 */
export function upload(href, file, signal, onProgress) {
  const token = /** @type {HTMLInputElement | null} */ (document.querySelector("[name=csrfmiddlewaretoken]"));
  const body = new FormData();
  body.append("file", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded }) => onProgress(Math.min(loaded, file.size)));
    request.addEventListener("load", () => {
      if (request.status < 400) resolve();
      else reject(refusal(request));
    });
    request.addEventListener("error", () => {
      const error = "The connection broke, or the file cannot be read.";
      reject(new ApiError(0, { error, remediation: "Nothing of it is kept: upload it again." }));
    });
    request.addEventListener("abort", () => resolve());
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", href);
    request.setRequestHeader("X-CSRFToken", token?.value ?? "");
    request.send(body);
  });
}

/** @param {XMLHttpRequest} request */
function refusal({ status, response }) {
  if (status === 401) return new ApiError(401, { error: "Your session has ended. Sign in in another tab, then try again." });
  return new ApiError(status, response ?? {});
}
