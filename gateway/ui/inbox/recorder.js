/** Recording a voice note: a bar in the composer's place with the time, "throw away" and "send". */

import { el, fill } from "../common/dom.js";
import { duration } from "../common/format.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { showToast } from "../common/toast.js";

/** What browsers record with Opus, the best first; the gateway makes of each what WhatsApp plays as a voice note. */
const TYPES = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4;codecs=opus"];
const LONGEST_S = 15 * 60;
const SHORTEST_MS = 400;

function recordedType() {
  if (!("MediaRecorder" in globalThis) || !navigator.mediaDevices?.getUserMedia) return null;
  return TYPES.find((type) => MediaRecorder.isTypeSupported(type)) ?? null;
}

export class Recorder {
  element = el("div", { class: "wa-recorder", role: "group", hidden: true, data: { testid: "recorder" } });
  #done;
  /** @type {MediaRecorder | null} */
  #recorder = null;
  #startedAt = 0;
  #timer = 0;
  #isWanted = false;
  #time = el("span", { class: "wa-recorder-time", role: "timer" });

  /** @param {(file: File | null) => void} done  what was recorded, or null where it was thrown away */
  constructor(done) {
    this.#done = done;
  }

  /** Whether this browser can record what the gateway takes. */
  get isPossible() {
    return recordedType() !== null;
  }

  get isOn() {
    return this.#recorder !== null;
  }

  async begin() {
    const type = recordedType();
    if (!type || this.#recorder) return;
    /** @type {MediaStream} */
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      showToast(t("voice.refused"), { tone: "calm" });
      this.#done(null);
      return;
    }
    /** @type {Blob[]} */
    const pieces = [];
    const recorder = new MediaRecorder(stream, { mimeType: type });
    this.#recorder = recorder;
    this.#startedAt = Date.now();
    this.#isWanted = false;
    recorder.addEventListener("dataavailable", (event) => event.data.size && pieces.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      const long = Date.now() - this.#startedAt >= SHORTEST_MS;
      const plain = type.split(";")[0];
      const file = new File(pieces, `voice.${plain.split("/")[1]}`, { type: plain });
      this.#end();
      this.#done(this.#isWanted && long && file.size ? file : null);
    });
    recorder.start();
    this.#show();
    this.#timer = setInterval(() => this.#tick(), 250);
    this.#tick();
  }

  /** Ends it: what was recorded is sent, or not. @param {boolean} isWanted */
  finish(isWanted) {
    this.#isWanted = isWanted;
    if (this.#recorder?.state === "recording") this.#recorder.stop();
  }

  #end() {
    clearInterval(this.#timer);
    this.#recorder = null;
    this.element.hidden = true;
  }

  #tick() {
    const seconds = (Date.now() - this.#startedAt) / 1000;
    this.#time.textContent = duration(seconds);
    if (seconds >= LONGEST_S) this.finish(true);
  }

  #show() {
    this.element.hidden = false;
    this.element.setAttribute("aria-label", t("voice.recording"));
    const drop = el(
      "button",
      { type: "button", class: "wa-square wa-ghost", "aria-label": t("voice.drop"), title: t("voice.drop"), onclick: () => this.finish(false) },
      icon("trash"),
    );
    const send = el(
      "button",
      { type: "button", class: "wa-send", "aria-label": t("voice.send"), title: t("voice.send"), data: { testid: "voice-send" }, onclick: () => this.finish(true) },
      icon("send"),
    );
    fill(this.element, drop, el("span", { class: "wa-recorder-dot", "aria-hidden": "true" }), this.#time, el("span", { class: "wa-recorder-words" }, t("voice.recording")), send);
    send.focus();
  }
}
