/** The page itself: puts the elements together, the header, the title, and what is shown without a login. */

import { backend } from "./shared/backend.js";
import { connectionBanner } from "./shared/banner.js";
import { el, fill } from "./shared/dom.js";
import { icon } from "./shared/icons.js";
import { WhatsAppInbox } from "./inbox/inbox.js";
import { WhatsAppSessions } from "./sessions/sessions.js";
import { t } from "./shared/strings.js";

const shared = backend();
const header = /** @type {HTMLElement} */ (document.querySelector("header.app-head"));
const main = /** @type {HTMLElement} */ (document.querySelector("main"));

const sessions = new WhatsAppSessions();
const inbox = new WhatsAppInbox();
inbox.setAttribute("routed", "");
const account = el("div", { class: "app-account" });
const hint = el("div", { class: "app-hint", hidden: true });

function showAccount() {
  const me = shared.me;
  if (!me) return;
  const leave = async () => {
    await shared.rest.post("/logout").catch(() => null); // the panel below says the same either way
    location.assign("/");
  };
  fill(
    account,
    el(
      "span",
      { class: "app-who" },
      icon("user"),
      el("bdi", {}, me.name || me.sub),
      el("span", { class: "wa-hint" }, t(`role.${me.role}`)),
    ),
    el("button", { type: "button", class: "wa-button wa-ghost", onclick: leave }, t("app.logout")),
  );
  hint.hidden = !me.simulator;
  const link = el("a", { href: "/simulator", target: "_blank", rel: "noopener" }, t("app.simulator"));
  if (me.simulator) fill(hint, icon("phone"), el("span", {}, t("app.simulator.hint")), link);
}

/** @param {boolean} over  there was a login, and it ended */
function showLogin(over) {
  const text = over ? t("login.over") : t("login.title");
  for (const dialog of document.querySelectorAll("dialog[open]"))
    /** @type {HTMLDialogElement} */ (dialog).close();
  header.hidden = hint.hidden = true;
  fill(
    main,
    el(
      "section",
      { class: "app-login", data: { testid: "login-needed" } },
      icon("chat"),
      el("h1", {}, text),
      el("p", {}, t("login.how")),
      el(
        "button",
        { type: "button", class: "wa-button", onclick: () => location.reload() },
        t("login.retry"),
      ),
    ),
  );
}

shared.addEventListener("open", showAccount);
shared.addEventListener("login-needed", (event) => showLogin(/** @type {CustomEvent} */ (event).detail.over));
inbox.addEventListener("sessions-wanted", () => sessions.open());
sessions.addEventListener("session-open", (event) =>
  inbox.showSession(/** @type {CustomEvent} */ (event).detail.session_id),
);
inbox.addEventListener("unread-change", (event) => {
  const { unread } = /** @type {CustomEvent} */ (event).detail;
  document.title = unread > 0 ? `(${unread}) ${t("app.title")}` : t("app.title");
});

document.title = t("app.title");
fill(
  header,
  el("h1", { class: "app-brand" }, icon("chat"), t("app.title")),
  connectionBanner(shared),
  sessions,
  account,
);
header.after(hint);
fill(main, inbox);
