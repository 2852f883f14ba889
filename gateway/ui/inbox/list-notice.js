/** What stands in place of the rows where there are none. */

import { el } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";

/** @import { Child } from "../common/dom.js" */

/** @param {string} kind @param {{retry: () => void, link: () => void}} actions @returns {Child[]} */
export function listNotice(kind, { retry, link }) {
  /** @param {() => void} run @param {string} text */
  const button = (run, text) => el("button", { type: "button", class: "wa-button wa-strong", onclick: run }, text);
  switch (kind) {
    case "loading":
      return [skeleton()];
    case "failed":
      return [icon("alert"), el("h2", {}, t("list.error")), button(retry, t("action.retry"))];
    case "first":
      return [
        icon("phone"),
        el("h2", {}, t("list.first")),
        el("p", {}, t("list.first.hint")),
        button(link, t("list.first.button")),
      ];
    case "nothing":
      return [icon("search"), el("h2", {}, t("list.nothing")), el("p", {}, t("list.nothing.hint"))];
    case "all":
      return [icon("chat"), el("h2", {}, t("list.empty")), el("p", {}, t("list.empty.hint"))];
    case "unread":
    case "unreplied":
      return [icon("done"), el("h2", {}, t(`list.empty.${kind}`))];
    default:
      return [icon("chat"), el("p", {}, t("list.empty.filter"))];
  }
}

/** Rows to come, in the size that they will have. */
function skeleton() {
  const rows = Array.from({ length: 8 }, () =>
    el("div", { class: "wa-skeleton-row" }, el("i", {}), el("span", {}, el("b", {}), el("b", {}))),
  );
  return el("div", { class: "wa-skeleton", role: "status", "aria-label": t("list.loading") }, ...rows);
}
