/**
 * The reply box. Enter sends, Shift+Enter breaks the line, and an input method's Enter does neither; on a phone Enter is
 * a new line. What is written is kept by conversation, also over a reload.
 */

import { Attachments } from "./attach.js";
import { draftOf, keepDraft } from "./drafts.js";
import { emojiPanel } from "./emoji.js";
import { Recorder } from "./recorder.js";
import { showTemplates } from "./template-panel.js";
import { TemplateList } from "./templates.js";
import { el, fill } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { nameLine } from "../common/format.js";
import { icon } from "../common/icons.js";
import { showMenu, showPanel } from "../common/menu.js";
import { previewOf } from "../common/states.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Message } from "../common/types.js" */
/** @import { Attached } from "./attach.js" */

const MOST_HIGH_PX = 180;
const MOST_LETTERS = 4096;
const TYPING_EVERY_MS = 4000;
const KEEP_AFTER_MS = 300;
const DOUBLE_CLICK_MS = 500;
const SHORT_NAME = 24;

/**
 * @typedef {object} Written
 * @property {string} text
 * @property {string | null} reply_to
 * @property {string | null} send_at
 * @property {Attached[]} files
 * @property {Message | null} edits  the message whose text this replaces
 *
 * @typedef {object} ComposerLook
 * @property {string} key  of the conversation
 * @property {string} name
 * @property {string} number  of the customer
 * @property {number} session
 * @property {"on" | "viewer" | "off" | "gone"} mode
 * @property {string} hint
 * @property {(() => void) | null} fix  what mends the reason for the hint
 */

export class Composer extends LiveElement {
  #backend;
  #actions;
  #sentAt = Number.NEGATIVE_INFINITY;
  /** @type {ComposerLook | null} */
  #look = null;
  /** @type {{message: Message, name: string} | null} */
  #answered = null;
  /** @type {Message | null} */
  #edited = null;
  #typedAt = 0;
  #keeping = 0;
  #files;
  #templates;
  #recorder;
  #mic = el("button", { type: "button", class: "wa-square wa-ghost wa-mic", hidden: true, data: { testid: "record-button" } }, icon("audio"));
  #input = el("textarea", { class: "wa-composer-input", rows: 1, dir: "auto", enterkeyhint: "send", data: { testid: "composer" } });
  #send = el("button", { type: "submit", class: "wa-send", data: { testid: "send-button" } }, icon("send"));
  #plus = el("button", { type: "button", class: "wa-square wa-ghost", "aria-haspopup": "menu" }, icon("plus"));
  #smile = el("button", { type: "button", class: "wa-square wa-ghost wa-smile", "aria-haspopup": "dialog" }, icon("smile"));
  #picker = el("input", { type: "file", multiple: true, hidden: true, tabindex: "-1" });
  #above = el("div", { class: "wa-composer-above" });
  #hint = el("p", { class: "wa-hint wa-composer-hint" });
  #form = el("form", { class: "wa-composer-row" });

  /** @param {Backend} backend @param {{send: (written: Written) => void, typing: () => void}} actions */
  constructor(backend, actions) {
    super();
    this.#backend = backend;
    this.#actions = actions;
    this.#files = new Attachments(backend, () => this.#changed());
    this.#templates = new TemplateList(
      backend,
      (template) => this.#use(template),
      () => {
        this.#setText("");
        if (this.#look) showTemplates(this, backend, this.#look.session);
      },
    );
    this.#recorder = new Recorder((file) => this.#recorded(file));
  }

  begin() {
    this.className = "wa-composer";
    this.#input.setAttribute("aria-label", t("composer.label"));
    this.#send.setAttribute("aria-label", t("composer.send"));
    this.#send.title = t("composer.send");
    this.#plus.setAttribute("aria-label", t("composer.attach"));
    this.#smile.setAttribute("aria-label", t("composer.emoji"));
    this.#mic.setAttribute("aria-label", t("voice.record"));
    this.#mic.title = t("voice.record");
    fill(this.#form, this.#plus, this.#input, this.#smile, this.#mic, this.#send, this.#picker);
    const { element: recorder } = this.#recorder;
    this.replaceChildren(this.#templates.element, this.#above, this.#files.element, recorder, this.#form, this.#hint);
    this.on(this.#input, "input", () => this.#typed());
    this.on(this.#input, "keydown", (event) => this.#onKey(event));
    this.on(this.#input, "paste", (event) => this.#onPaste(event));
    this.on(this.#form, "submit", (event) => {
      event.preventDefault();
      this.#submit(null);
    });
    this.on(this.#plus, "click", () => this.#showMenu());
    this.on(this.#smile, "click", () => this.#showEmoji());
    this.on(this.#mic, "click", () => {
      // The microphone stands where the button to send stood: the second half of a double click is no wish to speak.
      if (performance.now() - this.#sentAt >= DOUBLE_CLICK_MS) void this.#record();
    });
    this.on(this.#backend, "templates", () => this.#templates.forget());
    this.on(this.#picker, "change", () => {
      this.add(this.#picker.files ?? []);
      this.#picker.value = "";
    });
    this.ends(() => this.#keepNow());
    this.ends(() => this.#recorder.finish(false));
    this.on(globalThis, "pagehide", () => this.#keepNow());
  }

  // ------------------------------------------------------------------------------------------ what it shows

  /** @param {ComposerLook} look */
  show(look) {
    const isOther = look.key !== this.#look?.key;
    if (isOther) this.#keepNow();
    this.#look = look;
    this.hidden = look.mode === "viewer";
    this.#input.disabled = look.mode !== "on";
    this.#plus.disabled = this.#smile.disabled = look.mode !== "on";
    // A narrow box has one line for whom it goes to, and none for hints.
    const hints = look.mode === "on" && globalThis.matchMedia("(width >= 768px)").matches;
    const placeholder = hints ? "composer.placeholder" : "composer.placeholder.plain";
    this.#input.placeholder = t(placeholder, { name: nameLine(look.name, SHORT_NAME) });
    const fix = look.fix && el("button", { type: "button", class: "wa-link", onclick: look.fix }, t("composer.link"));
    if (this.#hint.dataset.text !== look.hint) {
      this.#hint.dataset.text = look.hint;
      fill(this.#hint, look.hint, fix);
    }
    if (!isOther) return;
    this.#recorder.finish(false);
    this.#answered = this.#edited = null;
    this.#files.clear();
    this.#templates.of(look.session);
    this.#setText(draftOf(look.key).text);
    this.#showAbove();
  }

  draw() {
    if (this.#look) this.show(this.#look);
  }

  /** What a person takes up again: a text that was not sent. @param {string} text */
  giveBack(text) {
    if (!this.#input.value.trim()) this.#setText(text);
    this.focusInput();
  }

  focusInput() {
    if (!this.#input.disabled && !this.hidden) this.#input.focus({ preventScroll: true });
  }

  get hasFocus() {
    return this.#input.matches(":focus");
  }

  /** @param {Message | null} message @param {string} name */
  answer(message, name) {
    this.#edited = null;
    this.#answered = message && { message, name };
    this.#showAbove();
    this.focusInput();
  }

  /** @param {Message} message */
  edit(message) {
    this.#answered = null;
    this.#edited = message;
    this.#setText(message.message_text ?? "");
    this.#showAbove();
    this.focusInput();
  }

  /** @param {Iterable<File>} files */
  add(files) {
    if (this.#input.disabled) return;
    this.#files.add(files);
    this.focusInput();
  }

  #showAbove() {
    const shown = this.#edited ?? this.#answered?.message;
    this.#above.hidden = !shown;
    if (!shown) return fill(this.#above);
    const title = this.#edited ? t("composer.editing") : t("composer.replying", { name: this.#answered?.name ?? "" });
    const stop = el(
      "button",
      { type: "button", class: "wa-square wa-ghost", "aria-label": t("composer.stop"), onclick: () => this.#stop() },
      icon("close"),
    );
    fill(
      this.#above,
      icon(this.#edited ? "pen" : "reply"),
      el("div", { class: "wa-answered" }, el("strong", {}, title), el("span", { dir: "auto" }, previewOf(shown))),
      stop,
    );
  }

  #stop() {
    if (this.#edited) this.#setText("");
    this.#answered = this.#edited = null;
    this.#showAbove();
    this.focusInput();
  }

  // ------------------------------------------------------------------------------------------ writing

  /** @param {string} text */
  #setText(text) {
    this.#input.value = text;
    this.#changed();
  }

  #typed() {
    this.#changed();
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#keepNow(), KEEP_AFTER_MS);
    const now = Date.now();
    if (now - this.#typedAt < TYPING_EVERY_MS || !this.#input.value) return;
    this.#typedAt = now;
    this.#actions.typing();
  }

  #keepNow() {
    clearTimeout(this.#keeping);
    if (this.#look && !this.#edited) keepDraft(this.#look.key, { text: this.#input.value });
  }

  #changed() {
    const text = this.#input.value;
    const over = [...text].length - MOST_LETTERS;
    this.#send.disabled =
      this.#input.disabled || (!text.trim() && this.#files.size === 0) || over > 0;
    this.#input.setAttribute("aria-invalid", String(over > 0));
    // Where nothing is written yet a voice note can be recorded instead.
    const canRecord = this.#backend.me?.can_record === true && this.#recorder.isPossible && !this.#input.disabled;
    this.#mic.hidden = !canRecord || Boolean(text.trim()) || this.#files.size > 0;
    this.#send.hidden = !this.#mic.hidden;
    if (over > 0) this.#hint.textContent = t("composer.too_long", { n: over });
    else if (this.#hint.textContent !== this.#look?.hint && this.#hint.dataset.text === undefined) this.#hint.textContent = "";
    this.#templates.filter(text.startsWith("/") && !text.includes("\n") ? text.slice(1) : null);
    // Browsers that know `field-sizing` let the box grow by themselves, without a layout for every letter.
    if (CSS.supports("field-sizing", "content")) return;
    this.#input.style.blockSize = "auto";
    this.#input.style.blockSize = `${Math.min(this.#input.scrollHeight, MOST_HIGH_PX)}px`;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (this.#templates.onKey(event)) return;
    if (event.key === "Escape" && (this.#answered || this.#edited)) {
      event.stopPropagation();
      return this.#stop();
    }
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    if (matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    this.#submit(null);
  }

  /** @param {ClipboardEvent} event */
  #onPaste(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    this.add(files);
  }

  /** @param {string | null} sendAt */
  #submit(sendAt) {
    const text = this.#input.value.trim();
    if (this.#send.disabled || (!text && this.#files.size === 0)) return;
    const written = {
      text,
      reply_to: this.#answered ? `${this.#answered.message.direction}:${this.#answered.message.id}` : null,
      send_at: sendAt,
      files: this.#files.take(),
      edits: this.#edited,
    };
    this.#answered = this.#edited = null;
    this.#setText("");
    this.#keepNow();
    this.#showAbove();
    this.#sentAt = performance.now();
    this.#actions.send(written);
  }

  /** @param {import("../common/types.js").Template} template */
  #use(template) {
    this.#setText(filledIn(template.text, this.#look));
    const { media } = template;
    if (!media) return;
    const id = this.#backend.rest.post(`/api/templates/${template.id}/media`).then((reply) => String(reply.data.id));
    this.#files.addUploaded({ name: media.name ?? template.shortcut, kind: media.kind ?? "document", bytes: media.bytes ?? 0, id });
  }

  // ------------------------------------------------------------------------------------------ recording

  async #record() {
    await this.#recorder.begin();
    this.#form.hidden = this.#recorder.isOn;
  }

  /** @param {File | null} file */
  #recorded(file) {
    this.#form.hidden = false;
    if (!file) return this.focusInput();
    this.add([file]);
    this.#submit(null);
    this.focusInput();
  }

  // ------------------------------------------------------------------------------------------ panels

  #showMenu() {
    /** @param {string} accept @param {boolean} camera */
    const pick = (accept, camera) => {
      this.#picker.accept = accept;
      this.#picker.toggleAttribute("capture", camera);
      if (camera) this.#picker.setAttribute("capture", "environment");
      this.#picker.click();
    };
    const isPhone = matchMedia("(pointer: coarse)").matches;
    showMenu(
      this.#plus,
      [
        { text: t("composer.photo"), icon: "image", run: () => pick("image/*,video/*", false) },
        isPhone && { text: t("composer.camera"), icon: "camera", run: () => pick("image/*", true) },
        { text: t("composer.file"), icon: "document", run: () => pick("", false) },
        { text: t("composer.templates"), icon: "chat", run: () => this.#setText("/") },
        { text: t("composer.send_later"), icon: "clock", run: () => this.#showLater() },
      ],
      t("composer.attach"),
    );
  }

  #showEmoji() {
    const close = showPanel(
      this.#smile,
      emojiPanel((emoji) => {
        this.#input.setRangeText(emoji, this.#input.selectionStart, this.#input.selectionEnd, "end");
        close();
        this.focusInput();
        this.#typed();
      }),
      { above: true },
    );
  }

  #showLater() {
    const now = this.#backend.rest.now();
    const soon = new Date(now + 60 * 60_000 - new Date(now).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    const when = el("input", { type: "datetime-local", class: "wa-input", value: soon, "aria-label": t("composer.later.at") });
    const complaint = el("p", { class: "wa-failure", role: "alert" });
    const form = el(
      "form",
      { class: "wa-later" },
      el("h2", {}, t("composer.send_later")),
      when,
      complaint,
      el("button", { type: "submit", class: "wa-button wa-strong" }, t("composer.send_later")),
    );
    const close = showPanel(this.#plus, form, { above: true });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const at = new Date(when.value).getTime();
      if (!(at > this.#backend.rest.now())) return void (complaint.textContent = t("composer.later.past"));
      close();
      this.#submit(new Date(at).toISOString());
    });
    when.focus();
  }
}

/** The variables of a template: the customer's name and number. @param {string} text @param {ComposerLook | null} look */
function filledIn(text, look) {
  return text.replace(/\{(name|number)\}/g, (_, name) => (name === "name" ? look?.name : look?.number) ?? "");
}

customElements.define("wa-composer", Composer);
