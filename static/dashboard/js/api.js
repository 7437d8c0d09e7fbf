/** Calls to the REST API with the session's cookie, and its errors. */

/** What the API answered with a status of 400 or more, or that it could not be reached. */
export class ApiError extends Error {
  /** @param {number} status @param {{error?: string, code?: string, remediation?: string, fields?: Record<string, unknown>}} body */
  constructor(status, body) {
    super(body.error || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.remediation = body.remediation ?? "";
    this.fields = body.fields ?? {};
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>} the answer's JSON, or null if it has none
 */
export async function call(method, path, body, headers = {}) {
  const token = /** @type {HTMLInputElement} */ (document.querySelector("[name=csrfmiddlewaretoken]"));
  const request = () =>
    fetch(path, {
      method,
      headers: { "Content-Type": "application/json", "X-CSRFToken": token?.value ?? "", ...headers },
      body: body && JSON.stringify(body),
    });
  // Once more where that cannot do a thing twice; see boot.js for why a request may just vanish.
  const isRepeatable = method !== "POST" || "Idempotency-Key" in headers;
  let response;
  try {
    response = await request().catch((error) => (isRepeatable ? request() : Promise.reject(error)));
  } catch {
    throw new ApiError(0, { error: "The server cannot be reached. Nothing was lost: try again." });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401) {
    throw new ApiError(401, { error: "Your session has ended. Sign in in another tab, then try again." });
  }
  throw new ApiError(response.status, answer ?? {});
}
