/** What the page of operators shows of a gateway, a number, an alert: each one row. */

import { el } from "../common/dom.js";
import { ago, exactTime, fileSize, waited } from "../common/format.js";
import { icon } from "../common/icons.js";
import { hasText, t } from "../common/strings.js";
import { repairButton } from "../sessions/webhook-notice.js";

/**
 * @typedef {object} GatewayFacts
 * @property {string} id
 * @property {string | null} host
 * @property {string | null} version
 * @property {string} started_at
 * @property {number} silent_s
 * @property {number} leases
 * @property {Record<string, any>} facts
 * @property {boolean} is_here
 *
 * @typedef {object} NumberFacts
 * @property {number} id
 * @property {string | null} name
 * @property {string} status
 * @property {string | null} webhook_state
 * @property {string | null} webhook_seen_at
 * @property {number} queued
 *
 * @typedef {object} AlertFacts
 * @property {number} id
 * @property {string} kind
 * @property {number} session_id
 * @property {string} note
 * @property {string} opened_at
 *
 * @typedef {object} Overview
 * @property {GatewayFacts[]} gateways
 * @property {NumberFacts[]} sessions
 * @property {AlertFacts[]} alerts
 * @property {Record<string, any>} counts
 * @property {{stored?: number, lost?: number, bytes?: number, reasons?: {reason: string, files: number}[]}} media
 */

const SILENT_S = 12;

/** @param {"good" | "warn" | "bad" | "calm"} tone @param {import("../common/icons.js").IconName} sign @param {string} text */
export function badge(tone, sign, text) {
  return el("span", { class: `wa-badge wa-tone-${tone}` }, icon(sign), el("span", {}, text));
}

/** @param {[string, string][]} facts */
export function factList(facts) {
  return el("dl", { class: "wa-facts wa-admin-facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, el("bdi", {}, name)), el("dd", {}, el("bdi", {}, value)))));
}

/** @param {GatewayFacts} gateway @param {string} zone */
export function gatewayRow(gateway, zone) {
  const { facts } = gateway;
  const health =
    gateway.silent_s > SILENT_S
      ? badge("bad", "alert", t("admin.gateway.silent", { n: Math.round(gateway.silent_s) }))
      : facts.is_draining
        ? badge("calm", "pause", t("admin.gateway.draining"))
        : facts.is_stale
          ? badge("warn", "question", t("admin.gateway.stale"))
          : badge("good", "check", t("admin.gateway.fine"));
  return el(
    "li",
    { class: "wa-admin-row", data: { testid: "admin-gateway", gateway: gateway.id } },
    el(
      "div",
      { class: "wa-admin-head" },
      el("strong", {}, el("bdi", {}, `${gateway.host ?? "?"} · ${facts.process ?? gateway.id.slice(0, 8)}`)),
      gateway.is_here && el("span", { class: "wa-hint" }, t("admin.gateway.here")),
      health,
    ),
    factList([
      [t("admin.fact.version"), gateway.version ?? "?"],
      [t("admin.fact.connections"), String(facts.connections ?? "?")],
      [t("admin.fact.leases"), String(gateway.leases)],
      [t("admin.fact.lag"), facts.lag_ms === undefined ? "?" : t("admin.fact.lag.ms", { n: Math.round(facts.lag_ms) })],
      [t("admin.fact.spooled"), String(facts.spooled ?? 0)],
      [t("admin.fact.started"), exactTime(Date.parse(gateway.started_at), zone)],
    ]),
  );
}

/** @param {string | null} state */
const webhookText = (state) => {
  const key = `webhook.${state ?? "unknown"}`;
  return hasText(key) ? t(key) : String(state);
};

/** @param {NumberFacts} number @param {number} now @param {(id: number) => Promise<void>} repair */
export function numberRow(number, now, repair) {
  const status = `status.${number.status}`;
  const is_fine = number.webhook_state === "ok";
  const seen = number.webhook_seen_at ? t("admin.numbers.seen", { ago: ago(number.webhook_seen_at, now) }) : t("admin.numbers.never");
  const words = [hasText(status) ? t(status) : number.status, seen];
  if (number.queued) words.push(t("admin.numbers.queued", { n: number.queued }));
  return el(
    "li",
    { class: "wa-admin-row", data: { testid: "admin-number", session: number.id } },
    el(
      "div",
      { class: "wa-admin-head" },
      el("strong", {}, el("bdi", {}, number.name ?? String(number.id))),
      is_fine
        ? badge("good", "check", t("webhook.ok"))
        : number.webhook_state
          ? badge("bad", "alert", webhookText(number.webhook_state))
          : badge("calm", "question", t("webhook.unknown")),
      number.webhook_state !== null && !is_fine && repairButton(() => repair(number.id)),
    ),
    el("p", { class: "wa-hint", dir: "auto" }, words.join(" · ")),
  );
}

/** @param {AlertFacts} alert @param {Overview} overview @param {string} zone @param {(id: number) => Promise<void>} repair */
export function alertRow(alert, overview, zone, repair) {
  const number = overview.sessions.find((one) => one.id === alert.session_id);
  const key = `admin.alert.${alert.kind}`;
  const text = alert.kind === "webhooks_stopped" ? webhookText(number?.webhook_state ?? null) : hasText(key) ? t(key) : alert.note;
  return el(
    "li",
    { class: "wa-admin-row wa-admin-alert", data: { testid: "admin-alert", kind: alert.kind } },
    el(
      "div",
      { class: "wa-admin-head" },
      icon("alert"),
      el("strong", {}, el("bdi", {}, number?.name ?? String(alert.session_id))),
      el("span", { class: "wa-hint" }, t("admin.since", { time: exactTime(Date.parse(alert.opened_at), zone) })),
      alert.kind === "webhooks_stopped" && repairButton(() => repair(alert.session_id)),
    ),
    el("p", { dir: "auto" }, text),
  );
}

/** @param {Overview} overview @returns {[string, string][]} */
export function workFacts({ counts, media }) {
  const sends = counts.sends ?? {};
  const age = counts.send_age_s ?? 0;
  return [
    [t("admin.work.queued"), String(sends.queued ?? 0)],
    [t("admin.work.age"), age > 0 ? waited(age * 1000) : t("admin.work.now")],
    [t("admin.work.unknown"), String(sends.unknown ?? 0)],
    [t("admin.work.failed"), String(counts.journal_failed ?? 0)],
    [t("admin.work.pending"), String(counts.media_pending ?? 0)],
    [t("admin.work.lost"), String(media.lost ?? 0)],
    [t("admin.work.store"), fileSize(media.bytes ?? 0)],
  ];
}
