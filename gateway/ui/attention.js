/**
 * What calls a person who looks elsewhere: the title, the dot on the tab's icon, one sound, a notice on the desktop.
 *
 * Of several tabs of one browser one makes the sound. Nothing is asked of the browser before a person presses a button;
 * where the browser keeps the page silent, the first sound that is due says so (`sound-blocked`).
 */

import { LiveElement } from "./common/element.js";
import { keep, recall } from "./common/memory.js";
import { t } from "./common/strings.js";

/** @import { Message } from "./common/types.js" */

const SOUND_EVERY_MS = 2000;
const REPEAT_EVERY_MS = 30_000;
const SOUND_LOCK = "whatsapp-gateway:sound";

/**
 * @typedef {object} AttentionSettings
 * @property {boolean} sound
 * @property {number} volume  0 to 100
 * @property {boolean} repeat
 * @property {boolean} notify
 * @property {boolean} hidesText
 */

/** @returns {AttentionSettings} */
export function attentionSettings() {
  const kept = recall("attention", /** @type {Partial<AttentionSettings>} */ ({}));
  return { sound: true, volume: 60, repeat: false, notify: false, hidesText: false, ...kept };
}

/** @param {Partial<AttentionSettings>} settings */
export function setAttention(settings) {
  keep("attention", { ...attentionSettings(), ...settings });
}

export class Attention extends EventTarget {
  #unread = 0;
  #soundAt = 0;
  /** @type {AudioContext | null} */
  #audio = null;
  #open;
  #title;
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("whatsapp-gateway:sound") : null;

  /** @param {LiveElement} owner @param {(message: Message) => void} open  shows a conversation @param {string} [title]  of the page */
  constructor(owner, open, title = t("app.title")) {
    super();
    this.#open = open;
    this.#title = title;
    if (this.#channel) this.#channel.onmessage = () => (this.#soundAt = Date.now());
    owner.ends(() => this.#channel?.close());
    owner.on(document, "pointerdown", () => this.unlock(), { once: true });
    owner.on(document, "keydown", () => this.unlock(), { once: true });
    owner.every(REPEAT_EVERY_MS, () => attentionSettings().repeat && this.#unread > 0 && this.play());
  }

  /** Whether the browser keeps this page silent until a person presses something. */
  get isBlocked() {
    return this.#audio === null || this.#audio.state === "suspended";
  }

  unlock() {
    this.#audio ??= new AudioContext();
    void this.#audio.resume().then(() => this.dispatchEvent(new Event("sound-allowed")));
  }

  /** @param {number} unread  conversations */
  count(unread) {
    this.#unread = unread;
    document.title = unread > 0 ? `(${unread}) ${this.#title}` : this.#title;
    const link = document.querySelector('link[rel="icon"]');
    if (link instanceof HTMLLinkElement) {
      const plain = link.href.replace(/favicon(-dot)?\.svg/, unread > 0 ? "favicon-dot.svg" : "favicon.svg");
      if (link.href !== plain) link.href = plain;
    }
    const app = /** @type {any} */ (navigator);
    void app.setAppBadge?.(unread)?.catch?.(() => {});
  }

  /** A message came in. @param {Message} message @param {boolean} isOpen  its conversation is being read @param {string} name */
  arrived(message, isOpen, name) {
    if (message.direction !== "in" || (isOpen && !document.hidden)) return;
    const settings = attentionSettings();
    if (settings.sound) this.play();
    if (settings.notify && document.hidden) this.#notify(message, name, settings.hidesText);
  }

  /** Two short notes; at most once in two seconds, in all tabs together. */
  play() {
    const now = Date.now();
    if (now - this.#soundAt < SOUND_EVERY_MS) return;
    if (!this.#audio || this.#audio.state !== "running") {
      this.dispatchEvent(new Event("sound-blocked"));
      return;
    }
    this.#soundAt = now;
    // Several tabs hear of the same message at the same moment: the one that gets the lock rings, and keeps it for a while.
    if (!navigator.locks) return this.#ring(this.#audio);
    const audio = this.#audio;
    void navigator.locks.request(SOUND_LOCK, { ifAvailable: true }, async (lock) => {
      if (!lock) return;
      this.#ring(audio);
      await new Promise((resolve) => setTimeout(resolve, SOUND_EVERY_MS));
    });
  }

  /** @param {AudioContext} audio */
  #ring(audio) {
    this.#channel?.postMessage("played");
    const start = audio.currentTime;
    const loudest = Math.max(0.0002, (0.3 * attentionSettings().volume) / 100);
    for (const [at, pitch] of /** @type {const} */ ([[0, 660], [0.14, 880]])) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, start + at);
      volume.gain.exponentialRampToValueAtTime(loudest, start + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + at + 0.22);
      tone.connect(volume).connect(audio.destination);
      tone.start(start + at);
      tone.stop(start + at + 0.24);
    }
    document.documentElement.dataset.sounds = String(Number(document.documentElement.dataset.sounds ?? 0) + 1);
  }

  /** @param {Message} message @param {string} name @param {boolean} hidesText */
  #notify(message, name, hidesText) {
    if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
    const body = hidesText ? t("notify.hidden") : (message.message_text ?? t("notify.hidden")).slice(0, 140);
    const title = hidesText ? t("app.title") : name;
    const tag = `${message.session_id}|${message.chat}`;
    let notice;
    try {
      notice = new Notification(title, { body, tag });
    } catch {
      return; // browsers of phones show notices of a service worker only
    }
    notice.onclick = () => {
      globalThis.focus();
      this.#open(message);
      /** @type {Notification} */ (notice).close();
    };
  }
}
