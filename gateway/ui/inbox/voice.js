/** The player of a voice message or another sound: play, position, speed. The file is fetched at the first press. */

import { el, fill } from "../common/dom.js";
import { duration } from "../common/format.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { showHeard, waveform } from "./waveform.js";

/** @import { Media } from "../common/types.js" */

const SPEEDS = [1, 1.5, 2];

/** One sound at a time. @type {HTMLAudioElement | null} */
let playing = null;

/** @param {Media} media @param {(media: Media) => Promise<string>} source */
export function voicePlayer(media, source) {
  const seconds = media.seconds ?? 0;
  const wave = waveform(media.waveform);
  const time = el("span", { class: "wa-voice-time" }, duration(seconds));
  const button = el(
    "button",
    { type: "button", class: "wa-voice-play", "aria-label": t("media.play"), disabled: media.state !== "stored" },
    icon("play"),
  );
  const seek = el("input", {
    type: "range",
    class: "wa-voice-seek",
    min: 0,
    max: 1000,
    value: 0,
    "aria-label": t("media.seek"),
    disabled: media.state !== "stored",
  });
  const speed = el("button", { type: "button", class: "wa-voice-speed", hidden: true }, "1×");
  const player = el("div", { class: "wa-voice" }, button, el("span", { class: "wa-voice-wave" }, wave, seek), time, speed);
  /** @type {HTMLAudioElement | null} */
  let audio = null;

  const length = () => (audio && Number.isFinite(audio.duration) && audio.duration) || seconds || 1;
  const show = () => {
    const isOn = Boolean(audio && !audio.paused);
    fill(button, icon(isOn ? "pause" : "play"));
    button.setAttribute("aria-label", isOn ? t("media.pause") : t("media.play"));
    speed.hidden = !audio || (!isOn && audio.currentTime === 0);
  };
  const move = () => {
    if (!audio) return;
    const share = audio.currentTime / length();
    seek.value = String(Math.round(share * 1000));
    seek.setAttribute("aria-valuetext", duration(audio.currentTime));
    showHeard(wave, share);
    time.textContent = duration(audio.currentTime > 0 ? audio.currentTime : length());
  };
  const open = async () => {
    if (audio) return audio;
    const made = new Audio(await source(media));
    audio = made;
    for (const type of ["play", "pause", "ended"]) made.addEventListener(type, show);
    made.addEventListener("timeupdate", move);
    made.addEventListener("ended", () => {
      made.currentTime = 0;
      move();
    });
    return made;
  };
  button.addEventListener("click", async () => {
    const sound = await open().catch(() => null);
    if (!sound) return;
    if (!sound.paused) return sound.pause();
    playing?.pause();
    playing = sound;
    await sound.play().catch(() => show());
  });
  seek.addEventListener("input", async () => {
    const sound = await open().catch(() => null);
    if (sound) sound.currentTime = (Number(seek.value) / 1000) * length();
  });
  speed.addEventListener("click", () => {
    if (!audio) return;
    audio.playbackRate = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + 1) % SPEEDS.length];
    speed.textContent = `${audio.playbackRate}×`;
    speed.setAttribute("aria-label", t("media.speed", { n: audio.playbackRate }));
  });
  return player;
}
