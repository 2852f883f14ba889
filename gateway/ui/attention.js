/**
 * What calls a person who looks elsewhere: the title, the dot on the tab's icon, one sound, a notice on the desktop.
 *
 * Of several tabs of one browser one makes the sound. Nothing is asked of the browser before a person presses a button.
 */

import { LiveElement } from "./common/element.js";
import { keep, recall } from "./common/memory.js";
import { t } from "./common/strings.js";

/** @import { Message } from "./common/types.js" */

const SOUND_EVERY_MS = 2000;
const REPEAT_EVERY_MS = 30_000;

/**
 * @typedef {object} AttentionSettings
 * @property {boolean} sound
 * @property {boolean} repeat
 * @property {boolean} notify
 * @property {boolean} hidesText
 */

/** @returns {AttentionSettings} */
export function attentionSettings() {
  return recall("attention", { sound: true, repeat: false, notify: false, hidesText: false });
}

/** @param {Partial<AttentionSettings>} settings */
export function setAttention(settings) {
  keep("attention", { ...attentionSettings(), ...settings });
}

export class Attention {
  #unread = 0;
  #soundAt = 0;
  /** @type {AudioContext | null} */
  #audio = null;
  #open;
  #title;
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("whatsapp-gateway:sound") : null;

  /** @param {LiveElement} owner @param {(message: Message) => void} open  shows a conversation @param {string} [title]  of the page */
  constructor(owner, open, title = t("app.title")) {
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
    void this.#audio.resume();
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
    if (now - this.#soundAt < SOUND_EVERY_MS || !this.#audio || this.#audio.state !== "running") return;
    this.#soundAt = now;
    this.#channel?.postMessage("played");
    const start = this.#audio.currentTime;
    for (const [at, pitch] of /** @type {const} */ ([[0, 660], [0.14, 880]])) {
      const tone = this.#audio.createOscillator();
      const volume = this.#audio.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, start + at);
      volume.gain.exponentialRampToValueAtTime(0.18, start + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + at + 0.22);
      tone.connect(volume).connect(this.#audio.destination);
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
    const notice = new Notification(title, { body, tag: `${message.session_id}|${message.chat}` });
    notice.onclick = () => {
      globalThis.focus();
      this.#open(message);
      notice.close();
    };
  }
}
