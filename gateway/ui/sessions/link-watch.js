/**
 * Follows one linking attempt: listens to `session:<id>`, asks the gateway to connect, pulls where a push is
 * missing, and hands each new view on. Shows nothing itself.
 *
 * Lifecycle: one `LinkWatch` per look; `stop` ends the interest and never the attempt, which others may watch.
 */

import { beginLinking, isOver, onCode, onEnd, onFrame, onStatus, onTick } from "./linking.js";
import { RestError } from "../common/rest.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { LinkView } from "./linking.js" */
/** @import { StateFrame } from "../common/types.js" */

const TICK_MS = 250;
const SNAPSHOT_WITHIN_MS = 1500;
const PULL_AFTER_SILENCE_MS = 10_000;
const PULL_EVERY_MS = 5000;

export class LinkWatch {
  #backend;
  #id;
  #show;
  /** @type {LinkView} */
  #view;
  #timer = 0;
  #expiry = 0;
  /** @type {{close: () => void} | null} */
  #subscription = null;
  /** An end that was already there when we came belongs to an earlier attempt. */
  #oldEnd = -1;
  #snapshotSeen = false;
  /** WasenderAPI has said that there is a code to scan: from here on `connecting` means that a phone scanned it. */
  #armed = false;
  #connected = false;
  #pulledFor = -1;
  #pulledAt = 0;
  #silentSince = 0;
  #stopped = false;

  /** @param {Backend} backend @param {number} id @param {(view: LinkView) => void} show */
  constructor(backend, id, show) {
    this.#backend = backend;
    this.#id = id;
    this.#show = show;
    this.#view = beginLinking(backend.rest.now());
  }

  async start() {
    this.#show(this.#view);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    // The timers of a hidden tab rest: what it shows is brought up to the moment in which it is looked at again.
    document.addEventListener("visibilitychange", this.#onVisible);
    // Listening comes before asking: otherwise an end could be taken for the one of the attempt before.
    await new Promise((resolve) => {
      setTimeout(resolve, SNAPSHOT_WITHIN_MS);
      this.#subscription = this.#backend.client.session(this.#id, {
        onState: (frames, snapshot) => {
          this.#onFrames(frames, snapshot);
          resolve(undefined);
        },
        onError: resolve,
      });
    });
    if (!this.#stopped) await this.connect();
  }

  /** Starts an attempt, or joins the one that runs: the server knows which. */
  async connect() {
    this.#armed = false;
    if (isOver(this.#view) || this.#view.trouble) this.#set({ ...beginLinking(this.#backend.rest.now()), seq: this.#view.seq });
    try {
      const reply = await this.#backend.rest.post(`/api/whatsapp-sessions/${this.#id}/connect`);
      this.#connected = true;
      const data = reply.data ?? {};
      // A frame may have overtaken the reply: that trouble has passed, only frames say.
      this.#set(onCode(this.#view, { ...data, trouble: data.trouble ?? undefined }, this.#backend.rest.now()));
      const known = this.#backend.sessions.get(this.#id)?.status;
      if (data.status === "connected" && known === "connected")
        this.#set(onStatus(this.#view, "connected", this.#backend.rest.now()));
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#set(onEnd(this.#view, { reason: "error", error: { message: error.message, code: error.code } }, this.#backend.rest.now()));
    }
  }

  stop() {
    this.#stopped = true;
    document.removeEventListener("visibilitychange", this.#onVisible);
    clearInterval(this.#timer);
    clearTimeout(this.#expiry);
    this.#subscription?.close();
  }

  #onVisible = () => void (document.hidden || this.#tick());

  /** @param {LinkView} view */
  #set(view) {
    if (this.#stopped) return;
    const moved = view !== this.#view;
    this.#view = view;
    if (moved) this.#dimInTime();
    if (moved) this.#show(view);
  }

  /** A code that has lived is dimmed in that moment, and not at the next tick. */
  #dimInTime() {
    clearTimeout(this.#expiry);
    if (this.#view.phase !== "qr" || !this.#view.code) return;
    const left = Date.parse(this.#view.code.expires_at) - this.#backend.rest.now();
    this.#expiry = setTimeout(() => this.#set(onTick(this.#view, this.#backend.rest.now())), Math.max(0, left));
  }

  /** @param {StateFrame[]} frames @param {boolean} snapshot */
  #onFrames(frames, snapshot) {
    const first = snapshot && !this.#snapshotSeen;
    this.#snapshotSeen ||= snapshot;
    for (const frame of frames) {
      if (frame.event === "session.link_ended") {
        if (first && !this.#connected) this.#oldEnd = frame.version;
        if (frame.version <= this.#oldEnd) continue;
      } else if (first && frame.part === "session") continue;
      if (!first && frame.data?.status === "need_scan") this.#armed = true;
      // It may be late, and of the time before the code.
      if (frame.data?.status === "connecting" && !this.#armed) continue;
      const before = this.#view.phase;
      this.#set(onFrame(this.#view, frame, this.#backend.rest.now()));
      if (before === "finishing" && this.#view.phase === "preparing") void this.#pull();
    }
  }

  #tick() {
    const now = this.#backend.rest.now();
    this.#set(onTick(this.#view, now));
    const offline = this.#backend.client.status !== "online";
    // Silence is measured by this browser's own clock: an answer may set the server's right meanwhile.
    const here = Date.now();
    this.#silentSince = offline ? this.#silentSince || here : 0;
    if (isOver(this.#view)) return;
    if (this.#view.phase === "refreshing" && this.#pulledFor !== this.#view.seq) {
      this.#pulledFor = this.#view.seq;
      void this.#pull();
    } else if (
      this.#silentSince &&
      here - this.#silentSince > PULL_AFTER_SILENCE_MS &&
      here - this.#pulledAt > PULL_EVERY_MS
    ) {
      void this.#pull();
    }
    this.#show(this.#view); // the seconds move
  }

  async #pull() {
    this.#pulledAt = Date.now();
    const path = `/api/whatsapp-sessions/${this.#id}`;
    try {
      const reply = await this.#backend.rest.get(`${path}/qr-code`);
      this.#set(onCode(this.#view, reply.data, this.#backend.rest.now()));
    } catch (error) {
      // 409: no attempt runs any more. The push says why; without a socket, the status does.
      if (!(error instanceof RestError) || error.status !== 409 || this.#backend.client.status === "online")
        return;
      const reply = await this.#backend.rest.get(`${path}/status`).catch(() => null);
      const status = reply?.data?.status;
      const at = this.#backend.rest.now();
      if (status)
        this.#set(
          status === "connected"
            ? onStatus(this.#view, status, at)
            : onEnd(this.#view, { reason: "timeout" }, at),
        );
    }
  }
}
