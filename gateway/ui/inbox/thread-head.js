/** The header of a thread: who it is, who else is there, and what can be done with the whole conversation. */

import { avatar } from "./conversation-row.js";
import { isGroup } from "./order.js";
import { el, fill } from "../common/dom.js";
import { displayName, formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { showMenu } from "../common/menu.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Conversation, Person } from "../common/types.js" */

/**
 * @typedef {"take" | "give_back" | "done" | "reopen" | "mark_unread" | "rename" | "block" | "unblock"} Deed
 * @typedef {{back: () => void, search: () => void, act: (deed: Deed) => void}} HeadActions
 */

/** What presence says in one line. @param {Person[]} people */
export function presenceText(people) {
  const typing = people.filter((person) => person.doing === "typing");
  if (typing.length > 1) return t("thread.typing.many", { n: typing.length });
  if (typing.length === 1) return t("thread.typing", { name: typing[0].name });
  return people.length ? t("thread.viewing", { name: people.map((person) => person.name).join(", ") }) : "";
}

export class ThreadHead {
  element = el("header", { class: "wa-thread-head" });
  #backend;
  #actions;
  #presence = el("span", { class: "wa-presence", role: "status", hidden: true, data: { testid: "presence" } });
  #drawn = "";
  /** @type {Conversation | null} */
  #conversation = null;

  /** @param {Backend} backend @param {HeadActions} actions */
  constructor(backend, actions) {
    this.#backend = backend;
    this.#actions = actions;
    // What changed while a menu was open here is shown when it is closed.
    this.element.addEventListener("toggle", () => setTimeout(() => this.#conversation && this.#dress(this.#conversation)), true);
  }

  /** @param {Conversation} conversation @param {Person[]} people */
  show(conversation, people) {
    this.#conversation = conversation;
    this.#showPresence(people);
    this.#dress(conversation);
  }

  /** @param {Conversation} conversation */
  #dress(conversation) {
    if (this.element.dataset.chat === conversation.chat && this.element.querySelector(":popover-open")) return;
    const session = this.#backend.sessions.get(conversation.session_id);
    const name = displayName(conversation);
    const phone = isGroup(conversation.chat) ? "" : formatPhone(conversation.phone);
    const hue = this.#backend.sessions.hueOf(conversation.session_id);
    const { done, owner, blocked } = conversation;
    const drawn = JSON.stringify([conversation.chat, name, phone, session?.name, hue, done, owner, blocked, this.#backend.isAgent]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const isSame = this.element.dataset.chat === conversation.chat;
    const heading = isSame ? this.element.querySelector("h2") : null;
    this.element.dataset.chat = conversation.chat;
    fill(
      this.element,
      this.#button("back", t("common.back"), this.#actions.back, "wa-back"),
      avatar(conversation, hue),
      el(
        "div",
        { class: "wa-thread-who" },
        heading ?? el("h2", { tabindex: "-1" }),
        el("p", { class: "wa-hint" }, ...this.#facts(conversation, phone, name)),
      ),
      this.#presence,
      this.#backend.isAgent && this.#doneButton(Boolean(done)),
      this.#button("search", t("thread.search"), this.#actions.search, "wa-thread-find"),
      this.#backend.isAgent && this.#moreButton(conversation),
    );
    const title = this.element.querySelector("h2");
    if (title) fill(title, el("bdi", {}, name));
  }

  focus() {
    this.element.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** @param {Conversation} conversation @param {string} phone @param {string} name */
  #facts(conversation, phone, name) {
    const session = this.#backend.sessions.get(conversation.session_id);
    const me = this.#backend.me?.sub;
    const owner =
      conversation.owner &&
      (conversation.owner === me
        ? t("thread.taken.me")
        : t("thread.taken", { name: conversation.owner_name || conversation.owner }));
    const parts = [
      phone && phone !== name && el("bdi", { dir: "ltr" }, phone),
      session && el("bdi", {}, session.name),
      owner && el("bdi", {}, owner),
    ].filter(Boolean);
    return parts.flatMap((part, at) => (at ? [el("span", { "aria-hidden": "true" }, "·"), part] : [part]));
  }

  /** @param {Person[]} people */
  #showPresence(people) {
    const text = presenceText(people);
    this.#presence.hidden = !text;
    this.#presence.classList.toggle("wa-writing", people.some((person) => person.doing === "typing"));
    if (this.#presence.textContent !== text) fill(this.#presence, text && el("span", { class: "wa-dot" }), text);
  }

  /** @param {boolean} done */
  #doneButton(done) {
    const [deed, text] = /** @type {[Deed, string]} */ (done ? ["reopen", t("thread.reopen")] : ["done", t("thread.done")]);
    return el(
      "button",
      { type: "button", class: "wa-button wa-done-button", data: { testid: "done-button" }, onclick: () => this.#actions.act(deed) },
      icon(done ? "reply" : "check"),
      el("span", {}, text),
    );
  }

  /** @param {Conversation} conversation */
  #moreButton(conversation) {
    const { owner, done, blocked, phone } = conversation;
    /** @param {Deed} deed @param {import("../common/icons.js").IconName} sign @param {boolean} [bad] */
    const item = (deed, sign, bad = false) => ({
      text: t(/** @type {"thread.take"} */ (`thread.${deed}`)),
      icon: sign,
      bad,
      run: () => this.#actions.act(deed),
    });
    const button = this.#button(
      "more",
      t("common.more"),
      () =>
        showMenu(
          button,
          [
            owner ? item("give_back", "hand") : item("take", "hand"),
            done ? item("reopen", "reply") : item("done", "done"),
            item("mark_unread", "dot"),
            item("rename", "pen"),
            /^\d{5,15}$/.test(phone ?? "") && { text: t("call.back"), icon: "call", run: () => location.assign(`tel:+${phone}`) },
            !isGroup(conversation.chat) && (blocked ? item("unblock", "block") : item("block", "block", true)),
          ],
          t("list.actions"),
        ),
      "",
    );
    button.setAttribute("aria-haspopup", "menu");
    return button;
  }

  /** @param {import("../common/icons.js").IconName} sign @param {string} label @param {() => void} run @param {string} look */
  #button(sign, label, run, look) {
    return el(
      "button",
      { type: "button", class: `wa-ghost wa-square ${look}`, "aria-label": label, title: label, onclick: run },
      icon(sign),
    );
  }
}
