/** What a message carries besides its words: pictures, films, sounds, files, places, people, polls, orders, calls. */

import { el } from "../common/dom.js";
import { duration, fileName, fileSize, formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { isVideoCall, kindName, messageKind } from "../common/states.js";
import { t } from "../common/strings.js";
import { voicePlayer } from "./voice.js";

/** @import { Media, Message } from "../common/types.js" */

/**
 * @typedef {object} BubbleActions  what a bubble asks of the thread
 * @property {(media: Media, size?: "thumb" | null) => Promise<string>} source
 * @property {(message: Message) => void} view
 * @property {(ref: string) => void} jump
 * @property {(message: Message, button: HTMLElement) => void} menu
 * @property {(message: Message) => void} retry
 * @property {(message: Message) => void} remove
 * @property {(message: Message, sent: boolean) => void} settle
 * @property {(message: Message) => void} cancel
 * @property {(phone: string) => void} write
 */

const WIDEST = 296;
const HIGHEST = 300;
const LOWEST = 90;

/**
 * A link to the media that a browser can open. WhatsApp's own addresses lead to encrypted files.
 *
 * @param {string | null | undefined} url
 */
export function openableUrl(url) {
  if (!url || !/^https?:\/\//i.test(url) || !URL.canParse(url)) return null;
  const { hostname, pathname } = new URL(url);
  return hostname.endsWith("whatsapp.net") || pathname.endsWith(".enc") ? null : url;
}

/** @param {Message} message @param {BubbleActions} actions @returns {{part: HTMLElement | null, usesText: boolean}} */
export function attachment(message, actions) {
  const kind = messageKind(message);
  if (kind === "text") return { part: null, usesText: false };
  if (kind === "call") return { part: missedCall(message), usesText: true };
  if (kind === "location") return { part: place(message), usesText: true };
  if (kind === "contact") return { part: person(message, actions), usesText: true };
  if (kind === "poll") return { part: poll(message), usesText: true };
  if (kind === "order" || kind === "product" || kind === "payment" || kind === "event")
    return { part: card(message), usesText: true };
  if (kind === "unknown") return { part: message.message_text ? null : unsupported(), usesText: false };
  return { part: file(message, kind, actions), usesText: false };
}

/** @param {Message} message */
const lines = (message) => (message.message_text ?? "").split("\n").map((line) => line.trim()).filter(Boolean);

function unsupported() {
  return el("p", { class: "wa-note" }, icon("question"), el("span", {}, t("type.unknown")));
}

// ------------------------------------------------------------------------------------------ files

/** @param {Message} message @param {string} kind @param {BubbleActions} actions */
function file(message, kind, actions) {
  const media = message.media;
  const state = media?.state ?? null;
  if (!media || (state !== "stored" && !media.preview && kind !== "document" && kind !== "audio"))
    return plain(message, state);
  const marks = { media: { testid: "media", state }, class: "" };
  if (kind === "audio") {
    const player = voicePlayer(media, actions.source);
    Object.assign(player.dataset, marks.media);
    return state === "lost" ? el("div", {}, player, note(media)) : player;
  }
  if (kind === "image" || kind === "sticker") return picture(message, media, actions);
  if (kind === "video") return picture(message, media, actions);
  return fileRow(media, actions);
}

/** A kind whose file we do not have. @param {Message} message @param {string | null} state */
function plain(message, state) {
  const url = openableUrl(message.media_url);
  return el(
    "div",
    { class: "wa-plain-media", data: { testid: "media", state: state ?? "none" } },
    icon(/** @type {import("../common/icons.js").IconName} */ (messageKind(message))),
    el(
      "span",
      {},
      kindName(message),
      state === "lost" && el("small", {}, t("media.lost")),
      state === "pending" && el("small", {}, t("media.pending")),
    ),
    url && el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, t("type.open")),
  );
}

/** @param {Media} media */
function note(media) {
  if (media.state === "lost") return el("p", { class: "wa-note" }, media.reason || t("media.lost"));
  return media.state === "pending" ? el("p", { class: "wa-note" }, t("media.pending")) : null;
}

/** A picture of fixed size from the start, so that nothing shifts when it comes. @param {Media} media @param {boolean} sticker */
function sized(media, sticker) {
  const widest = sticker ? 140 : WIDEST;
  const width = media.width || 4;
  const height = media.height || 3;
  const ratio = Math.min(2.4, Math.max(0.6, width / height));
  const wide = Math.min(widest, HIGHEST * ratio);
  return { wide: Math.round(wide), high: Math.round(Math.max(LOWEST, wide / ratio)) };
}

/** @param {Message} message @param {Media} media @param {BubbleActions} actions */
function picture(message, media, actions) {
  const kind = messageKind(message);
  const { wide, high } = sized(media, kind === "sticker");
  const image = el("img", { alt: "", width: wide, height: high, loading: "lazy", draggable: "false" });
  if (media.preview?.startsWith("data:image/")) image.src = media.preview;
  if (media.state === "stored" && kind !== "video") {
    actions.source(media, kind === "sticker" ? null : "thumb").then((url) => (image.src = url), () => {});
  }
  const frame = el(
    "button",
    {
      type: "button",
      class: `wa-picture wa-picture-${kind}`,
      "aria-label": t("media.view", { name: fileName(media.name) || kindName(message) }),
      disabled: media.state !== "stored",
      data: { testid: "media", state: media.state },
      onclick: () => actions.view(message),
    },
    image,
    kind === "video" && el("span", { class: "wa-picture-play" }, icon("play")),
    kind === "video" && media.seconds ? el("span", { class: "wa-picture-time" }, duration(media.seconds)) : null,
    media.state !== "stored" &&
      el("span", { class: "wa-picture-note" }, media.state === "lost" ? t("media.lost") : t("media.pending")),
  );
  frame.style.inlineSize = `${wide}px`;
  frame.style.aspectRatio = `${wide} / ${high}`;
  return frame;
}

/** The last letters of a file's name, for its sign. @param {Media} media */
function fileSign(media) {
  const ending = /\.([a-z0-9]{1,4})$/i.exec(media.name ?? "")?.[1] ?? media.mime?.split("/")[1]?.slice(0, 4) ?? "";
  return ending.toUpperCase();
}

/** @param {Media} media @param {BubbleActions} actions */
function fileRow(media, actions) {
  const sign = fileSign(media);
  const facts = [
    media.pages ? t("media.pages", { n: media.pages }) : null,
    media.bytes ? fileSize(media.bytes) : null,
    media.state === "lost" ? t("media.lost") : media.state === "pending" ? t("media.pending") : null,
  ].filter(Boolean);
  const row = el(
    media.state === "stored" ? "a" : "div",
    { class: "wa-file", data: { testid: "media", state: media.state } },
    el("span", { class: `wa-file-sign wa-file-${sign.toLowerCase()}`, "aria-hidden": "true" }, sign || icon("document")),
    el(
      "span",
      { class: "wa-file-words" },
      el("bdi", {}, fileName(media.name) || t("type.document")),
      el("small", {}, facts.join(" · ")),
    ),
  );
  if (row instanceof HTMLAnchorElement) {
    row.href = "#";
    row.download = fileName(media.name);
    row.prepend(el("span", { class: "wa-unseen" }, `${t("media.download")}: `));
    actions.source(media).then((url) => (row.href = url), () => {});
  }
  return row;
}

// ------------------------------------------------------------------------------------------ cards

/** @param {Message} message */
function missedCall(message) {
  const phone = message.phone || message.from_phone || "";
  const isDialled = /^\d{5,15}$/.test(phone);
  return el(
    "div",
    { class: "wa-card wa-card-call" },
    el("span", { class: "wa-card-sign" }, icon(isVideoCall(message) ? "video" : "missed")),
    el("span", { class: "wa-card-words" }, el("strong", {}, kindName(message))),
    isDialled && el("a", { class: "wa-card-action", href: `tel:+${phone}` }, t("call.back")),
  );
}

/** @param {Message} message */
function place(message) {
  const all = lines(message);
  const point = all.map((line) => /^(-?\d{1,2}(?:\.\d+)?),\s*(-?\d{1,3}(?:\.\d+)?)$/.exec(line)).find(Boolean);
  const words = all.filter((line) => !point || line !== point[0]);
  const [title = t("type.location"), ...rest] = words;
  const address = point
    ? `https://www.openstreetmap.org/?mlat=${point[1]}&mlon=${point[2]}#map=16/${point[1]}/${point[2]}`
    : null;
  return el(
    address ? "a" : "div",
    {
      class: "wa-map",
      ...(address ? { href: address, target: "_blank", rel: "noopener noreferrer" } : {}),
    },
    el("span", { class: "wa-map-picture", "aria-hidden": "true" }, icon("location")),
    el("strong", { dir: "auto" }, title),
    rest.length > 0 && el("small", { dir: "auto" }, rest.join(", ")),
    point && el("small", { dir: "ltr" }, `${point[1]}, ${point[2]}`),
  );
}

/** @param {Message} message @param {BubbleActions} actions */
function person(message, actions) {
  const [name = t("type.contact"), ...rest] = lines(message);
  const phone = rest.map((line) => line.replace(/\D/g, "")).find((digits) => /^\d{7,15}$/.test(digits));
  return el(
    "div",
    { class: "wa-card" },
    el("span", { class: "wa-card-sign" }, icon("contact")),
    el(
      "span",
      { class: "wa-card-words" },
      el("strong", { dir: "auto" }, name),
      ...rest.map((line) => el("small", { dir: "auto" }, /^\+?[\d\s()-]+$/.test(line) ? formatPhone(line) : line)),
    ),
    phone &&
      el("button", { type: "button", class: "wa-card-action", onclick: () => actions.write(phone) }, t("contact.write")),
  );
}

/** @param {Message} message */
function poll(message) {
  const [question = t("type.poll"), ...rest] = lines(message);
  return el(
    "div",
    { class: "wa-poll" },
    el("strong", { dir: "auto" }, icon("poll"), question),
    el("ul", {}, ...rest.map((line) => el("li", { dir: "auto" }, line.replace(/^•\s*/, "")))),
    el("small", {}, t("poll.see")),
  );
}

/** Orders, products, payments, events: a title and what belongs to it. @param {Message} message */
function card(message) {
  const kind = /** @type {"order"} */ (messageKind(message));
  const [title = kindName(message), ...rest] = lines(message);
  return el(
    "div",
    { class: `wa-card wa-card-${kind}` },
    el("span", { class: "wa-card-sign" }, icon(kind)),
    el(
      "span",
      { class: "wa-card-words" },
      el("small", { class: "wa-card-kind" }, kindName(message)),
      title !== kindName(message) && el("strong", { dir: "auto" }, title),
      ...rest.slice(0, 12).map((line) => el("small", { dir: "auto" }, line)),
    ),
  );
}
