/**
 * `/ui/gallery`: every element in every state, from fixtures. Without `?state=` it lists the states and the tokens;
 * `?state=inbox&theme=dark&lang=ar` shows one, and says `data-ready` on the page when it stands still.
 */

import { AccountPage } from "../account/account.js";
import { AdminPage } from "../admin/admin.js";
import { TargetsSection } from "../admin/targets.js";
import { useBackend } from "../common/backend.js";
import { el, fill } from "../common/dom.js";
import { directionOf, language, t, useLanguage } from "../common/strings.js";
import { keepDraft } from "../inbox/drafts.js";
import { WhatsAppInbox } from "../inbox/inbox.js";
import { PeoplePage } from "../people/people.js";
import { Rail } from "../rail.js";
import { WhatsAppSessions } from "../sessions/sessions.js";
import { letCustomerWrite, stageBackend } from "./stage.js";
import { STATES, until } from "./states.js";

const query = new URLSearchParams(location.search);
const root = document.documentElement;
const main = /** @type {HTMLElement} */ (document.querySelector("main"));

useLanguage(query.get("lang"));
root.lang = language();
root.dir = query.get("dir") ?? directionOf(language());
if (query.get("theme")) root.dataset.theme = query.get("theme") ?? "";

/** @param {string} selector */
function find(selector) {
  const found = document.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`The gallery has no ${selector} here.`);
  return found;
}

/** @param {string} name */
async function show(name) {
  const state = STATES[name]();
  for (const one of state.scene.list ?? []) keepDraft(`${one.session_id}|${one.chat}`, { text: "" });
  useBackend(stageBackend(state.scene));
  const inbox = state.page ? null : new WhatsAppInbox();
  document.querySelector(".app-rail")?.append(new Rail(inbox, new WhatsAppSessions(), find(".app-notices"), state.page));
  if (inbox) fill(main, el("h1", { class: "wa-unseen" }, t("app.title")), inbox);
  else if (state.page === "targets") fill(main, el("div", { class: "wa-page" }, new TargetsSection("h1")));
  else fill(main, state.page === "people" ? new PeoplePage() : state.page === "admin" ? new AdminPage() : new AccountPage());
  if (inbox && state.opens) {
    const [first] = state.scene.list ?? [];
    await until(() => document.querySelector("[data-testid=conversation-row]"));
    inbox.openKey(`${first.session_id}|${first.chat}`);
    await until(() => ["messages", "empty", "failed"].includes(find(".wa-thread").dataset.state ?? ""));
  }
  await new Promise((resolve) => setTimeout(resolve, 120));
  await state.then?.(find);
  await document.fonts.ready;
  await new Promise((resolve) => setTimeout(resolve, 200));
}

function tokens() {
  const sheet = [...document.styleSheets].find((one) => one.href?.includes("app.css"));
  const names = new Set();
  for (const rule of sheet?.cssRules ?? []) {
    for (const match of rule.cssText.matchAll(/(--wa-[\w-]+):/g)) names.add(match[1]);
  }
  return [...names].map((name) => {
    const swatch = el("i", { "aria-hidden": "true" });
    swatch.style.background = `var(${name})`;
    return el("div", { class: "gallery-token" }, swatch, el("code", {}, name));
  });
}

function index() {
  document.querySelector(".app-rail")?.remove();
  const links = Object.keys(STATES).map((name) => el("li", {}, el("a", { href: `?state=${name}` }, name)));
  fill(
    main,
    el("div", { class: "gallery-index" }, el("h1", {}, "Gallery"), el("ul", {}, ...links), el("h2", {}, "Tokens"), el("div", { class: "gallery-tokens" }, ...tokens())),
  );
}

async function start() {
  const wanted = query.get("state");
  if (wanted === "names") fill(main, el("pre", {}, JSON.stringify(Object.keys(STATES))));
  else if (wanted && Object.hasOwn(STATES, wanted)) await show(wanted);
  else index();
  Object.assign(window, { gallery: { emit: letCustomerWrite } });
  root.dataset.ready = "true";
}

void start();
