/** Every state of the page that is photographed: what is on the stage, and what a person has done there. */

import { ashasThread, everyKind, everyState, groupThread, incoming, linkCode, list, longThread, manySessions, outgoing, SESSIONS } from "./fixtures.js";

import { FINE } from "./operations.js";
import { letCustomerWrite } from "./stage.js";

/** @import { Scene } from "./stage.js" */

/**
 * @typedef {object} State
 * @property {Scene} scene
 * @property {boolean} [opens]  the first conversation
 * @property {"people" | "account" | "targets" | "admin"} [page]  instead of the inbox
 * @property {(find: (selector: string) => HTMLElement) => void | Promise<void>} [then]
 */

/** @param {() => any} test */
export async function until(test) {
  for (let n = 0; !test(); n += 1) {
    if (n > 800) throw new Error(`The gallery waited for what does not come: ${test}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** @param {string} selector @param {(selector: string) => HTMLElement} find */
async function press(selector, find) {
  await until(() => document.querySelector(selector));
  find(selector).click();
}

/** @param {string} text @param {(selector: string) => HTMLElement} find */
function write(text, find) {
  const input = /** @type {HTMLTextAreaElement} */ (find("[data-testid=composer]"));
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

const group = () => list().filter((one) => one.chat.endsWith("@g.us"));
const ali = { sub: "user:2", name: "Ali", doing: /** @type {"typing"} */ ("typing") };
const slow = { queued: 1, next_at: "2026-11-30T10:34:04Z", paused_until: null, reason: null };
const unlinked = SESSIONS.map((one) => (one.id === 1 ? { ...one, status: "logged_out" } : one));

/** @param {number} left */
const code = (left) => ({ part: /** @type {"link"} */ ("link"), event: "session.qr", data: linkCode(left) });

/** @param {Record<string, unknown>} data */
const ended = (data) => ({ part: /** @type {"link"} */ ("link"), event: "session.link_ended", data });

const troubled = {
  part: /** @type {"link"} */ ("link"),
  event: "session.link_trouble",
  data: {
    trouble: { code: "upstream_error", message: "WasenderAPI answered 500: Internal Server Error.", action: "retry", retry_at: "2026-11-30T10:34:04Z" },
    scanned_at: null,
  },
};

/** @param {string} status */
const status = (status) => ({ part: /** @type {"session"} */ ("session"), event: "session.status", data: { status } });

const MENU = { pen: 2, clock: 3, key: 4 };

/** One page of a number, by its place in the menu. @param {keyof typeof MENU} page @returns {State} */
const numberPage = (page) => ({
  scene: { list: list() },
  then: async (find) => {
    await press("[data-testid=sessions-button]", find);
    await press("[data-session='1'] [data-testid=session-menu]", find);
    await press(`.wa-menu-item:nth-of-type(${MENU[page]})`, find);
  },
});

/** A number is being linked. @param {Scene} scene @param {string} phase @returns {State} */
const linking = (scene, phase) => ({
  scene: { list: list(), ...scene },
  then: async (find) => {
    await press("[data-testid=sessions-button]", find);
    await press("[data-session='3'] [data-testid=connect-button]", find);
    await until(() => document.querySelector(`[data-testid=session-modal][data-state=${phase}]`));
  },
});

/** @type {Record<string, () => State>} */
export const STATES = {
  inbox: () => ({ scene: { list: list(), thread: ashasThread(), people: [ali], sending: slow }, opens: true }),
  waiting: () => ({ scene: { list: list() } }),
  kinds: () => ({ scene: { list: list(), thread: everyKind() }, opens: true }),
  "kinds-above": () => ({
    scene: { list: list(), thread: everyKind() },
    opens: true,
    then: (find) => {
      find("[data-testid=thread]").scrollTop = 0;
    },
  }),
  sending: () => ({ scene: { list: list(), thread: everyState(), sending: slow }, opens: true }),
  long: () => ({ scene: { list: list(), thread: longThread() }, opens: true }),
  group: () => ({ scene: { list: group(), thread: groupThread() }, opens: true }),
  "list-loading": () => ({ scene: { answers: "never" } }),
  "list-failed": () => ({ scene: { answers: "fails" } }),
  "list-first": () => ({ scene: { sessions: [], totals: { all: 0, unread: 0, unreplied: 0, mine: 0, free: 0, groups: 0 } } }),
  "list-empty": () => ({ scene: { totals: { all: 0, unread: 0, unreplied: 0, mine: 0, free: 0, groups: 0 } } }),
  search: () => ({
    scene: { list: list(), hits: [incoming("09:12", "Do you still have the brown sugar, 25 kg?", { chat: list()[0].chat })] },
    then: async (find) => {
      const input = /** @type {HTMLInputElement} */ (find("[data-testid=search]"));
      input.value = "as";
      input.dispatchEvent(new Event("input"));
      await until(() => document.querySelector("mark"));
    },
  }),
  "search-nothing": () => ({
    scene: { list: list() },
    then: async (find) => {
      const input = /** @type {HTMLInputElement} */ (find("[data-testid=search]"));
      input.value = "zzz";
      input.dispatchEvent(new Event("input"));
      await until(() => document.querySelector('.wa-list .wa-empty[data-kind="nothing"]'));
    },
  }),
  "thread-loading": () => ({
    scene: { list: list() },
    opens: true,
    then: async (find) => find(".wa-thread > .wa-empty").classList.add("gallery-still"),
  }),
  "thread-new": () => ({ scene: { list: list(), thread: [] }, opens: true }),
  "newer-reply": () => ({
    scene: {
      list: list(),
      thread: ashasThread().slice(0, 5),
      newer: [outgoing("10:33", "Yes, that is the one. Shall I send two bags?", "sent", { created_by: "Ali Hassan" })],
    },
    opens: true,
    then: async (find) => {
      await until(() => document.querySelector("[data-testid=message]"));
      write("Yes, exactly that one. How many bags?", find);
      find("[data-testid=send-button]").click();
      await until(() => document.querySelector("[data-testid=newer-reply]"));
    },
  }),
  "not-linked": () => ({
    scene: { list: list(), sessions: unlinked, thread: ashasThread(), sending: { ...slow, reason: "not_connected" } },
    opens: true,
  }),
  viewer: () => ({ scene: { list: list(), thread: ashasThread(), me: { role: "viewer" } }, opens: true }),
  menu: () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: (find) => press(".wa-thread-head [aria-haspopup=menu]", find),
  }),
  "message-menu": () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: (find) => press(".wa-out .wa-more", find),
  }),
  templates: () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: async (find) => {
      write("/", find);
      await until(() => document.querySelector(".wa-templates li"));
    },
  }),
  "templates-none": () => ({
    scene: { list: list(), thread: ashasThread(), templates: [] },
    opens: true,
    then: async (find) => {
      write("/", find);
      await press(".wa-template-manage", find);
      await until(() => document.querySelector("[data-testid=add-template]"));
    },
  }),
  "templates-list": () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: async (find) => {
      write("/", find);
      await press(".wa-template-manage", find);
      await until(() => document.querySelector("[data-testid=template]"));
    },
  }),
  "templates-form": () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: async (find) => {
      write("/", find);
      await press(".wa-template-manage", find);
      await press("[data-testid=template]:nth-child(2) button", find);
      await until(() => document.querySelector(".wa-template-panel textarea"));
    },
  }),
  recording: () => ({
    scene: { list: list(), thread: ashasThread(), me: { can_record: true } },
    opens: true,
    then: async (find) => {
      const silent = new AudioContext().createMediaStreamDestination().stream;
      navigator.mediaDevices.getUserMedia = async () => silent;
      await press("[data-testid=record-button]", find);
      await until(() => document.querySelector("[data-testid=voice-send]"));
    },
  }),
  emoji: () => ({ scene: { list: list(), thread: ashasThread() }, opens: true, then: (find) => press(".wa-smile", find) }),
  later: () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: async (find) => {
      await press(".wa-composer [aria-haspopup=menu]", find);
      await press(".wa-menu-item:last-child", find);
    },
  }),
  "media-viewer": () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: (find) => press(".wa-picture", find),
  }),
  block: () => ({
    scene: { list: list(), thread: ashasThread() },
    opens: true,
    then: async (find) => {
      await press(".wa-thread-head [aria-haspopup=menu]", find);
      await press(".wa-menu-item.wa-danger", find);
    },
  }),
  settings: () => ({ scene: { list: list() }, then: (find) => press(".app-rail [aria-label]:is(button).app-rail-item", find) }),
  "sound-blocked": () => ({
    scene: { list: list() },
    then: async () => {
      await until(() => document.querySelector("[data-testid=conversation-row]"));
      letCustomerWrite(1);
      await until(() => document.querySelector("[data-testid=sound-blocked]:not([hidden])"));
    },
  }),
  keys: () => ({
    scene: { list: list() },
    then: () => void document.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true })),
  }),
  reconnecting: () => ({ scene: { list: list(), thread: ashasThread(), connection: "reconnecting" }, opens: true }),
  offline: () => ({ scene: { list: list(), thread: ashasThread(), connection: "offline" }, opens: true }),
  stale: () => ({ scene: { list: list(), thread: ashasThread(), connection: "stale" }, opens: true }),
  people: () => ({ scene: {}, page: "people" }),
  "people-loading": () => ({ scene: { answers: "never" }, page: "people" }),
  "people-failed": () => ({ scene: { answers: "fails" }, page: "people" }),
  "people-empty": () => ({ scene: { persons: [] }, page: "people" }),
  "people-forbidden": () => ({ scene: { refused: true, me: { role: "agent" } }, page: "people" }),
  "people-add": () => ({ scene: {}, page: "people", then: (find) => press("[data-testid=add-person]", find) }),
  "people-wrong": () => ({
    scene: {},
    page: "people",
    then: async (find) => {
      await press("[data-testid=add-person]", find);
      find(".wa-person [type=submit]").click();
    },
  }),
  "people-edit": () => ({ scene: {}, page: "people", then: (find) => press("[data-person='2'] .wa-button", find) }),
  "people-menu": () => ({ scene: {}, page: "people", then: (find) => press("[data-person='2'] [aria-haspopup=menu]", find) }),
  "people-link": () => ({
    scene: {},
    page: "people",
    then: async (find) => {
      await press("[data-person='2'] [aria-haspopup=menu]", find);
      await press(".wa-menu-item", find);
    },
  }),
  "people-disable": () => ({
    scene: {},
    page: "people",
    then: async (find) => {
      await press("[data-person='2'] [aria-haspopup=menu]", find);
      await press(".wa-menu-item:nth-of-type(2)", find);
    },
  }),
  targets: () => ({ scene: {}, page: "targets" }),
  "targets-loading": () => ({ scene: { answers: "never" }, page: "targets" }),
  "targets-failed": () => ({ scene: { answers: "fails" }, page: "targets" }),
  "targets-empty": () => ({ scene: { targets: [] }, page: "targets" }),
  "targets-forbidden": () => ({ scene: { refused: true, me: { role: "agent" } }, page: "targets" }),
  "targets-add": () => ({ scene: {}, page: "targets", then: (find) => press("[data-testid=add-target]", find) }),
  "targets-menu": () => ({ scene: {}, page: "targets", then: (find) => press("[data-target='4'] [aria-haspopup=menu]", find) }),
  "targets-letters": () => ({
    scene: {},
    page: "targets",
    then: async (find) => {
      await press("[data-target='3'] [aria-haspopup=menu]", find);
      await press(".wa-menu-item:nth-child(2)", find);
    },
  }),
  admin: () => ({ scene: {}, page: "admin", then: (find) => press("[data-testid=run-doctor]", find) }),
  "admin-fine": () => ({ scene: { overview: FINE }, page: "admin" }),
  "admin-loading": () => ({ scene: { answers: "never" }, page: "admin" }),
  "admin-failed": () => ({ scene: { answers: "fails" }, page: "admin" }),
  "admin-forbidden": () => ({ scene: { refused: true, me: { sessions: [1] } }, page: "admin" }),
  account: () => ({ scene: {}, page: "account" }),
  "account-failed": () => ({ scene: { answers: "fails" }, page: "account" }),
  "account-wrong": () => ({
    scene: {},
    page: "account",
    then: (find) => press("[data-testid=password-form] [type=submit]", find),
  }),
  "account-others": () => ({ scene: {}, page: "account", then: (find) => press("[data-testid=end-others]", find) }),
  numbers: () => ({ scene: { list: list() }, then: (find) => press("[data-testid=sessions-button]", find) }),
  "numbers-viewer": () => ({ scene: { list: list(), me: { role: "viewer" } }, then: (find) => press("[data-testid=sessions-button]", find) }),
  "numbers-loading": () => ({ scene: { answers: "never", never: "/api/whatsapp-sessions" }, then: (find) => press("[data-testid=sessions-button]", find) }),
  "numbers-many": () => ({ scene: { list: list(), sessions: manySessions() }, then: (find) => press("[data-testid=sessions-button]", find) }),
  "numbers-nothing": () => ({
    scene: { list: list(), sessions: manySessions() },
    then: async (find) => {
      await press("[data-testid=sessions-button]", find);
      const search = /** @type {HTMLInputElement} */ (find(".wa-sessions-tools input"));
      search.value = "nowhere";
      search.dispatchEvent(new Event("input"));
      await new Promise((resolve) => setTimeout(resolve, 250));
    },
  }),
  "numbers-menu": () => ({
    scene: { list: list() },
    then: async (find) => {
      await press("[data-testid=sessions-button]", find);
      await press("[data-session='1'] [data-testid=session-menu]", find);
    },
  }),
  "numbers-edit": () => numberPage("pen"),
  "numbers-log": () => numberPage("clock"),
  "numbers-keys": () => numberPage("key"),
  "numbers-keys-shown": () => ({
    scene: { list: list() },
    then: async (find) => {
      await numberPage("key").then?.(find);
      await press("[data-testid=reveal-keys]", find);
    },
  }),
  unheard: () => ({
    scene: {
      list: list(),
      sessions: SESSIONS.map((one) => ({ ...one, status: "connected", webhook_state: one.id === 1 ? "silent" : "ok" })),
    },
  }),
  "numbers-webhook": () => ({
    scene: { list: list(), sessions: SESSIONS.map((one) => (one.id === 1 ? { ...one, webhook_state: "refused" } : one)) },
    then: (find) => press("[data-testid=sessions-button]", find),
  }),
  "numbers-delete": () => ({
    scene: { list: list() },
    then: async (find) => {
      await press("[data-testid=sessions-button]", find);
      await press("[data-session='3'] summary", find);
      await press("[data-session='3'] [data-testid=delete-button]", find);
    },
  }),
  "link-preparing": () => linking({}, "preparing"),
  "link-code": () => linking({ link: [code(15)] }, "qr"),
  "link-refreshing": () => linking({ link: [code(0)] }, "refreshing"),
  "link-finishing": () => linking({ link: [code(15), status("need_scan"), status("connecting")] }, "finishing"),
  "link-passkey": () => linking({ link: [code(15), status("need_passkey")] }, "finishing"),
  "link-success": () => linking({ link: [code(15), ended({ reason: "connected" })] }, "success"),
  "link-expired": () => linking({ link: [ended({ reason: "timeout" })] }, "expired"),
  "link-cancelled": () => linking({ link: [ended({ reason: "cancelled" })] }, "expired"),
  "link-token": () => linking({ linkFails: "upstream_unauthorized" }, "error"),
  "link-limit": () => linking({ linkFails: "upstream_limit" }, "error"),
  "link-refused": () => linking({ linkFails: "invalid" }, "error"),
  "link-trouble": () => linking({ link: [troubled] }, "error"),
  "link-code-trouble": () => linking({ link: [{ ...code(15), data: { ...code(15).data, trouble: troubled.data.trouble } }] }, "qr"),
  "link-finishing-trouble": () => linking({ link: [code(15), status("need_scan"), status("connecting"), troubled] }, "finishing"),
  "link-outage": () => linking({ link: [ended({ reason: "timeout", error: { code: "upstream_timeout", message: "WasenderAPI did not answer within 10 s." } })] }, "error"),
  "link-step": () => linking({ link: [code(15), status("two_step_check")] }, "qr"),
  "link-reconnecting": () => linking({ link: [code(15)], connection: "reconnecting" }, "qr"),
  "link-network": () => linking({ linkFails: "network" }, "error"),
};
