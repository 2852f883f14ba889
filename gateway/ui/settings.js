/** The settings of this browser, and the list of keys. */

import { attentionSettings, setAttention } from "./attention.js";
import { el, fill, uniqueId } from "./common/dom.js";
import { icon } from "./common/icons.js";
import { keep, recall } from "./common/memory.js";
import { CATALOGUES, t } from "./common/strings.js";

/** @import { Attention } from "./attention.js" */
/** @import { TextKey } from "./common/strings.js" */

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @returns {Theme} */
export function themeSetting() {
  return recall("theme", /** @type {Theme} */ ("auto"));
}

export function applyTheme() {
  const theme = themeSetting();
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** The language chosen here, or null. @returns {string | null} */
export function languageSetting() {
  return recall("language", /** @type {string | null} */ (null));
}

/** Whether keys without Ctrl or Alt mean something. @returns {boolean} */
export function hasShortcuts() {
  return recall("shortcuts", true);
}

/** @param {string} title @param {import("./common/dom.js").Child[]} content */
function dialog(title, ...content) {
  const id = uniqueId("dialog");
  const shown = el("dialog", { class: "wa-ask wa-settings", "aria-labelledby": id });
  const close = el(
    "button",
    { type: "button", class: "wa-ghost wa-square", "aria-label": t("common.close"), onclick: () => shown.close() },
    icon("close"),
  );
  fill(shown, el("header", {}, el("h2", { id }, title), close), ...content);
  shown.addEventListener("close", () => shown.remove());
  shown.addEventListener("mousedown", (event) => event.target === shown && shown.close());
  document.body.append(shown);
  shown.showModal();
  return shown;
}

/** @param {TextKey} key @param {boolean} value @param {(on: boolean) => void} change */
function toggle(key, value, change) {
  const input = el("input", { type: "checkbox", role: "switch" });
  input.checked = value;
  input.addEventListener("change", () => change(input.checked));
  return el("label", { class: "wa-setting" }, el("span", {}, t(key)), input);
}

/** @param {TextKey} key @param {number} value @param {(value: number) => void} change */
function slider(key, value, change) {
  const input = el("input", { type: "range", min: 0, max: 100, step: 10, value: String(value) });
  input.addEventListener("change", () => change(Number(input.value)));
  return el("label", { class: "wa-setting" }, el("span", {}, t(key)), input);
}

/** @param {TextKey} key @param {[string, string][]} options @param {string} value @param {(value: string) => void} change */
function choice(key, options, value, change) {
  const select = el("select", { class: "wa-input" }, ...options.map(([name, text]) => el("option", { value: name }, text)));
  select.value = value;
  select.addEventListener("change", () => change(select.value));
  return el("label", { class: "wa-setting" }, el("span", {}, t(key)), select);
}

/** @param {Attention} attention */
export function showSettings(attention) {
  const settings = attentionSettings();
  const refused = el("p", { class: "wa-hint", hidden: true }, t("settings.notify.refused"));
  const blocked = el(
    "div",
    { class: "wa-setting", hidden: !attention.isBlocked },
    el("span", { class: "wa-hint" }, t("settings.sound.blocked")),
    el("button", { type: "button", class: "wa-button", onclick: () => (attention.unlock(), (blocked.hidden = true)) }, t("settings.sound.on")),
  );
  const test = el(
    "button",
    { type: "button", class: "wa-link", onclick: () => (attention.unlock(), setTimeout(() => attention.play(), 60)) },
    t("settings.sound.test"),
  );
  const notify = async (/** @type {boolean} */ on) => {
    const allowed = on && "Notification" in globalThis ? await Notification.requestPermission() : "denied";
    refused.hidden = !on || allowed === "granted";
    setAttention({ notify: on && allowed === "granted" });
  };
  /** @type {[string, string][]} */
  const languages = Object.keys(CATALOGUES).map((code) => [code, t(/** @type {"language.en"} */ (`language.${code}`))]);
  dialog(
    t("settings.title"),
    choice(
      "settings.theme",
      /** @type {const} */ (["auto", "light", "dark"]).map((theme) => [theme, t(`settings.theme.${theme}`)]),
      themeSetting(),
      (theme) => {
        keep("theme", theme === "auto" ? undefined : theme);
        applyTheme();
      },
    ),
    choice("settings.language", [["", t("settings.language.auto")], ...languages], languageSetting() ?? "", (language) => {
      keep("language", language || undefined);
      location.reload();
    }),
    toggle("settings.sound", settings.sound, (sound) => setAttention({ sound })),
    slider("settings.volume", settings.volume, (volume) => setAttention({ volume })),
    blocked,
    el("div", { class: "wa-setting" }, el("span", {}), test),
    toggle("settings.repeat", settings.repeat, (repeat) => setAttention({ repeat })),
    toggle("settings.notify", settings.notify, (on) => void notify(on)),
    refused,
    toggle("settings.notify.private", settings.hidesText, (hidesText) => setAttention({ hidesText })),
    toggle("settings.shortcuts", hasShortcuts(), (on) => keep("shortcuts", on ? undefined : false)),
  );
}

/** @type {[string, TextKey][]} */
const KEYS = [
  ["/", "keys.search"],
  ["J", "keys.next"],
  ["K", "keys.previous"],
  ["R", "keys.reply"],
  ["E", "keys.done"],
  ["U", "keys.unread"],
  ["F6", "keys.panes"],
  ["?", "keys.help"],
  ["Esc", "keys.close"],
];

export function showKeys() {
  const rows = KEYS.map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(text))));
  dialog(t("keys.title"), el("dl", { class: "wa-keys" }, ...rows)).dataset.testid = "shortcuts";
}
