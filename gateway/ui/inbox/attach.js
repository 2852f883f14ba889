/** Files that are about to be sent: chosen, dropped or pasted; looked at, uploaded, or taken away again. */

import { el } from "../common/dom.js";
import { fileSize } from "../common/format.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */

const MIB = 1024 * 1024;

/** What WasenderAPI takes of each kind. The gateway says it again, for kinds found by their bytes. */
const MOST = { image: 16 * MIB, video: 50 * MIB, audio: 16 * MIB, document: 100 * MIB };

/**
 * @typedef {object} Attached
 * @property {string} name
 * @property {string} kind
 * @property {string | null} picture  address of a picture of it, in this browser
 * @property {Promise<string>} id  of the uploaded file
 */

export class Attachments {
  /** @type {Map<HTMLElement, Attached & {stop: AbortController}>} */
  #files = new Map();
  #backend;
  #changed;
  element = el("div", { class: "wa-attached", hidden: true });

  /** @param {Backend} backend @param {() => void} changed */
  constructor(backend, changed) {
    this.#backend = backend;
    this.#changed = changed;
  }

  get size() {
    return this.#files.size;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) this.#add(file);
    this.#show();
  }

  /** @param {File} file */
  #add(file) {
    const kind = kindOf(file);
    if (file.size > MOST[kind]) {
      showToast(t("media.too_large", { name: file.name, size: fileSize(MOST[kind]) }));
      return;
    }
    const stop = new AbortController();
    const picture = kind === "image" ? URL.createObjectURL(file) : null;
    const bar = el("progress", { max: 1, value: 0, "aria-label": t("media.uploading", { name: file.name }) });
    const path = `/api/media?name=${encodeURIComponent(file.name)}`;
    const id = this.#backend.rest
      .upload(path, file, (share) => (bar.value = share), stop.signal)
      .then((reply) => {
        bar.remove();
        return String(reply.data.id);
      });
    const card = this.#card(file.name, file.size, kind, picture, bar);
    this.#files.set(card, { name: file.name, kind, picture, id, stop });
    id.catch((error) => {
      if (stop.signal.aborted) return;
      this.#drop(card);
      showFailure(error, { retry: () => this.add([file]) });
    });
  }

  /** A file that the gateway has already: a template's. @param {{name: string, kind: string, bytes: number, id: Promise<string>}} file */
  addUploaded({ name, kind, bytes, id }) {
    const card = this.#card(name, bytes, kind, null, null);
    this.#files.set(card, { name, kind, picture: null, id, stop: new AbortController() });
    id.catch((error) => {
      this.#drop(card);
      showFailure(error);
    });
    this.#show();
  }

  /**
   * @param {string} name @param {number} bytes @param {string} kind @param {string | null} picture
   * @param {HTMLElement | null} bar  how far it has come
   */
  #card(name, bytes, kind, picture, bar) {
    const remove = el(
      "button",
      { type: "button", class: "wa-square wa-ghost", "aria-label": t("media.remove", { name }), onclick: () => this.#drop(card) },
      icon("close"),
    );
    const sign = /** @type {import("../common/icons.js").IconName} */ (kind in MOST ? kind : "document");
    const card = el(
      "div",
      { class: "wa-attached-file", data: { testid: "attached" } },
      picture ? el("img", { src: picture, alt: "", width: 56, height: 56 }) : el("span", { class: "wa-attached-sign" }, icon(sign)),
      el("span", { class: "wa-attached-words" }, el("bdi", {}, name), el("small", {}, fileSize(bytes)), bar),
      remove,
    );
    return card;
  }

  /** @param {HTMLElement} card */
  #drop(card) {
    const file = this.#files.get(card);
    if (!file) return;
    file.stop.abort();
    if (file.picture) URL.revokeObjectURL(file.picture);
    this.#files.delete(card);
    this.#show();
  }

  /** Hands all files over; they are not the composer's any more. @returns {Attached[]} */
  take() {
    const files = [...this.#files.values()];
    this.#files.clear();
    this.#show();
    return files;
  }

  /** Stops what is on its way. */
  clear() {
    for (const card of [...this.#files.keys()]) this.#drop(card);
  }

  #show() {
    this.element.replaceChildren(...this.#files.keys());
    this.element.hidden = this.#files.size === 0;
    this.#changed();
  }
}

/** @param {File} file @returns {keyof typeof MOST} */
function kindOf(file) {
  const kind = file.type.split("/")[0];
  return kind === "image" || kind === "video" || kind === "audio" ? kind : "document";
}
