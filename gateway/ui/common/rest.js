/** REST calls: JSON in and out, every failure one `RestError` with a sentence a person can read. */

import { askedAt } from "./early.js";
import { t } from "./strings.js";

const ANSWER_WITHIN_MS = 30_000;

/** A call that did not work. `message` is the server's sentence, or ours if there was no server. */
export class RestError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, code?: string, action?: string | null, details?: Record<string, any> | null}} facts
   */
  constructor(message, { status = 0, code = "network", action = "retry", details = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.action = action;
    this.details = details;
  }
}

export class Rest {
  /** Server time minus this computer's, in ms: countdowns follow the server's clock. */
  skewMs = 0;
  /** Bearer token where there is no cookie (embedded pages). @type {string | null} */
  token = null;
  /** @type {() => void} */
  onUnauthenticated = () => {};
  /** Between these two lies the difference of the clocks, by all answers so far. */
  #skewFrom = -Infinity;
  #skewTo = Infinity;
  #base;

  /** @param {string} base  origin of the gateway, without a slash at the end */
  constructor(base) {
    this.#base = base;
  }

  /** The whole address of a path of the gateway. @param {string} path */
  address(path) {
    return this.#base + path;
  }

  /** The server's time in ms. */
  now() {
    return Date.now() + this.skewMs;
  }

  /** @param {string} path @param {Record<string, string | number | null | undefined>} [query] @param {AbortSignal} [signal] */
  get(path, query = {}, signal) {
    const filled = Object.entries(query).filter(
      ([, value]) => value !== null && value !== undefined && value !== "",
    );
    const text = new URLSearchParams(filled.map(([name, value]) => [name, String(value)])).toString();
    return this.#call("GET", text ? `${path}?${text}` : path, undefined, signal);
  }

  /** Turns a ticket into a token. The token at hand may have ended, and is not shown. @param {string} ticket @returns {Promise<any>} */
  redeem(ticket) {
    return this.#call("POST", "/api/tickets/redeem", { ticket }, undefined, true);
  }

  /** A file that the gateway makes. @param {string} path @param {Record<string, string | number | null | undefined>} query @returns {Promise<Blob>} */
  async file(path, query) {
    const filled = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const address = `${this.#base}${path}?${new URLSearchParams(filled.map(([name, value]) => [name, String(value)]))}`;
    /** @type {RequestInit} */
    const how = { headers: this.token ? { Authorization: `Bearer ${this.token}` } : {}, credentials: this.token ? "omit" : "same-origin", cache: "no-store" };
    const response = await fetch(address, how).catch(() => null);
    if (!response) throw new RestError(t("error.network"));
    if (!response.ok) throw this.#refusal(response.status, await response.json().catch(() => null));
    return response.blob();
  }

  /** @param {string} path @param {unknown} [body] */
  post(path, body) {
    return this.#call("POST", path, body ?? {});
  }

  /** @param {string} path @param {unknown} body */
  put(path, body) {
    return this.#call("PUT", path, body);
  }

  /**
   * Sends a file as it is, and tells how far it has come.
   *
   * @param {string} path @param {Blob} file @param {(share: number) => void} progress @param {AbortSignal} signal
   * @returns {Promise<any>}
   */
  upload(path, file, progress, signal) {
    // `fetch` does not tell how much of a body has gone.
    const request = new XMLHttpRequest();
    return new Promise((resolve, reject) => {
      request.open("POST", this.#base + path);
      if (this.token) request.setRequestHeader("Authorization", `Bearer ${this.token}`);
      if (file.type) request.setRequestHeader("Content-Type", file.type);
      request.responseType = "json";
      request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
      request.onerror = request.ontimeout = () => reject(new RestError(t("error.network")));
      request.onabort = () => reject(signal.reason);
      request.onload = () => {
        const reply = request.response;
        if (request.status < 300 && reply && reply.success !== false) return resolve(reply);
        if (request.status === 401) this.onUnauthenticated();
        reject(this.#refusal(request.status, reply));
      };
      signal.addEventListener("abort", () => request.abort(), { once: true });
      request.send(file);
    });
  }

  /** @param {number} status @param {any} reply */
  #refusal(status, reply) {
    return new RestError(reply?.error ?? t("error.answer", { status }), {
      status,
      code: reply?.code ?? "internal",
      action: reply ? (reply.action ?? null) : "retry",
      details: reply?.details ?? null,
    });
  }

  /** @param {string} path */
  delete(path) {
    return this.#call("DELETE", path);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {AbortSignal} [signal]
   * @param {boolean} [isStranger]  nothing shows who asks
   * @returns {Promise<any>} the whole reply: `data`, and `warning` if upstream gave one
   */
  async #call(method, path, body, signal, isStranger = false) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (this.token && !isStranger) headers.Authorization = `Bearer ${this.token}`;
    const asked = method === "GET" ? askedAt(this.#base + path) : Date.now();
    const deadline = AbortSignal.timeout(ANSWER_WITHIN_MS);
    let response;
    let reply;
    try {
      response = await fetch(this.#base + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: this.token || isStranger ? "omit" : "same-origin",
        cache: "no-store",
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
      this.#compareClocks(response.headers.get("Date"), asked);
      reply = await response.json().catch(() => null);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new RestError(t("error.network"));
    }
    if (response.ok && reply && reply.success !== false) return reply;
    if (response.status === 401 && !isStranger) this.onUnauthenticated();
    throw this.#refusal(response.status, reply);
  }

  /** The header has whole seconds, and was written while we waited: each answer narrows the difference down. @param {string | null} date @param {number} asked */
  #compareClocks(date, asked) {
    const server = date ? Date.parse(date) : NaN;
    if (Number.isNaN(server)) return;
    const [from, to] = [server - Date.now(), server + 1000 - asked];
    const fits = from <= this.#skewTo && to >= this.#skewFrom;
    // A clock that was set begins anew.
    this.#skewFrom = fits ? Math.max(from, this.#skewFrom) : from;
    this.#skewTo = fits ? Math.min(to, this.#skewTo) : to;
    const isSame = this.#skewFrom <= 0 && this.#skewTo >= 0;
    this.skewMs = isSame ? 0 : (this.#skewFrom + this.#skewTo) / 2;
  }
}
