/** Pictures and films of a thread, large: Esc closes, arrows go on, the focus returns. */

import { el, fill } from "../common/dom.js";
import { exactTime, fileName } from "../common/format.js";
import { icon } from "../common/icons.js";
import { isItsKind, kindName, messageKind } from "../common/states.js";
import { t } from "../common/strings.js";
import { messageKey, messageTime } from "./order.js";

/** @import { Media, Message } from "../common/types.js" */

/**
 * @param {Element} inside @param {readonly Message[]} messages @param {Message} first
 * @param {{source: (media: Media) => Promise<string>, zone: string, caption: (message: Message) => string}} look
 */
export function showViewer(inside, messages, first, { source, zone, caption }) {
  const all = messages.filter(
    (message) => ["image", "video"].includes(messageKind(message)) && message.media?.state === "stored" && !message.deleted_at,
  );
  // By its key: what the bubble was drawn with may be an older state of the message.
  let at = all.findIndex((message) => messageKey(message) === messageKey(first));
  if (at < 0) at = all.push(first) - 1;
  const stage = el("div", { class: "wa-viewer-stage" });
  const title = el("p", { class: "wa-viewer-title", dir: "auto" });
  /** @param {import("../common/icons.js").IconName} name @param {string} label @param {() => void} run @param {string} [look] */
  const button = (name, label, run, look = "") =>
    el("button", { type: "button", class: `wa-viewer-button ${look}`, "aria-label": label, onclick: run }, icon(name));
  const download = el("a", { class: "wa-viewer-button", "aria-label": t("media.download"), download: "" }, icon("download"));
  const previous = button("back", t("media.previous"), () => go(-1), "wa-viewer-previous");
  const next = button("next", t("media.next"), () => go(1), "wa-viewer-next");
  const dialog = el(
    "dialog",
    { class: "wa-viewer", "aria-label": t("media.viewer"), data: { testid: "media-viewer" } },
    el("header", {}, title, download, button("close", t("common.close"), () => dialog.close())),
    stage,
    previous,
    next,
  );
  const show = async () => {
    const message = all[at];
    const media = /** @type {Media} */ (message.media);
    previous.hidden = at === 0;
    next.hidden = at === all.length - 1;
    title.textContent = `${caption(message)} · ${exactTime(messageTime(message), zone)}`;
    download.download = fileName(media.name) || kindName(message);
    const url = await source(media).catch(() => "");
    if (all[at] !== message) return;
    download.href = url;
    const isFilm = messageKind(message) === "video";
    const shown = isFilm
      ? el("video", { src: url, controls: true, autoplay: true, playsinline: true })
      : el("img", { src: url, alt: message.message_text || kindName(message) });
    fill(stage, shown, !isItsKind(message) && message.message_text && el("p", { dir: "auto" }, message.message_text));
  };
  /** @param {number} by */
  const go = (by) => {
    const to = at + by;
    if (to < 0 || to >= all.length) return;
    at = to;
    void show();
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLVideoElement) return;
    const forward = getComputedStyle(dialog).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") go(event.key === forward ? 1 : -1);
  });
  dialog.addEventListener("click", (event) => event.target === stage && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  inside.append(dialog);
  dialog.showModal();
  void show();
}
