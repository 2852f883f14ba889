/** The page itself: the rail, what the address names (the inbox, people, operations, one's account), and what is shown without a login. */

import { AccountPage } from "./account/account.js";
import { AdminPage } from "./admin/admin.js";
import { TargetsSection } from "./admin/targets.js";
import { backend } from "./common/backend.js";
import { el, fill } from "./common/dom.js";
import { icon } from "./common/icons.js";
import { directionOf, language, t, useLanguage } from "./common/strings.js";
import { WhatsAppInbox } from "./inbox/inbox.js";
import { PeoplePage } from "./people/people.js";
import { Rail } from "./rail.js";
import { WhatsAppSessions } from "./sessions/sessions.js";
import { applyTheme, languageSetting } from "./settings.js";

applyTheme();
useLanguage(languageSetting());
document.documentElement.lang = language();
document.documentElement.dir = directionOf(language());

const shared = backend();
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const notices = /** @type {HTMLElement} */ (document.querySelector(".app-notices"));
const place = /** @type {HTMLElement} */ (document.querySelector(".app-rail"));

/** @param {boolean} over  there was a login, and it ended */
function showLogin(over) {
  const text = over ? t("login.over") : t("login.title");
  for (const dialog of document.querySelectorAll("dialog[open]"))
    /** @type {HTMLDialogElement} */ (dialog).close();
  fill(notices);
  document.querySelector(".app-rail")?.remove();
  fill(
    main,
    el(
      "section",
      { class: "app-login", data: { testid: "login-needed" } },
      icon("chat"),
      el("h1", {}, text),
      el("p", {}, t("login.how")),
      el("button", { type: "button", class: "wa-button wa-strong", onclick: () => location.reload() }, t("login.retry")),
    ),
  );
}

shared.addEventListener("login-needed", (event) => showLogin(/** @type {CustomEvent} */ (event).detail.over));
place.setAttribute("aria-label", t("app.rail"));
const numbers = new WhatsAppSessions();
numbers.setAttribute("routed", "");
const wanted = location.pathname.split("/").pop();
if (wanted === "people" || wanted === "account" || wanted === "targets" || wanted === "admin") {
  const pages = {
    people: () => new PeoplePage(),
    account: () => new AccountPage(),
    targets: () => el("div", { class: "wa-page" }, new TargetsSection("h1")),
    admin: () => new AdminPage(),
  };
  place.append(new Rail(null, numbers, notices, wanted));
  fill(main, pages[wanted]());
} else {
  const inbox = new WhatsAppInbox();
  inbox.setAttribute("routed", "");
  place.append(new Rail(inbox, numbers, notices));
  fill(main, el("h1", { class: "wa-unseen" }, t("app.title")), inbox);
}
