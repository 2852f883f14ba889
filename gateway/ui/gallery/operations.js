/** Two gateways on a night that needs a person, and on one that does not. */

/** @import { Overview } from "../admin/admin-rows.js" */
/** @import { Finding } from "../admin/doctor.js" */
/** @import { Entry } from "../admin/journal.js" */

const facts = { process: 4711, connections: 214, lag_ms: 1.4, spooled: 0, is_stale: false };

/** @type {Overview} */
export const FINE = {
  gateways: [
    { id: "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11", host: "shop-1", version: "0.1.0", started_at: "2026-11-29T04:10:00Z", silent_s: 1.2, leases: 3, facts, is_here: true },
    { id: "0a2d3c51-02a7-4c55-8f5e-2f7c0a0b9d42", host: "shop-2", version: "0.1.0", started_at: "2026-11-29T04:12:00Z", silent_s: 0.4, leases: 1, facts: { ...facts, process: 812, connections: 198 }, is_here: false },
  ],
  sessions: [
    { id: 1, name: "Main shop", status: "connected", webhook_state: "ok", webhook_seen_at: "2026-11-30T10:33:20Z", queued: 0 },
    { id: 2, name: "Deliveries", status: "connected", webhook_state: "ok", webhook_seen_at: "2026-11-30T10:31:00Z", queued: 2 },
  ],
  alerts: [],
  counts: { sends: { queued: 2, unknown: 0 }, send_age_s: 0, journal_failed: 0, media_pending: 1 },
  media: { stored: 18214, lost: 0, bytes: 6_442_450_944, reasons: [] },
};

/** @type {Overview} */
export const TROUBLE = {
  ...FINE,
  gateways: [
    { ...FINE.gateways[0], facts: { ...facts, is_stale: true, spooled: 37, lag_ms: 220 } },
    { ...FINE.gateways[1], silent_s: 41 },
  ],
  sessions: [
    { id: 1, name: "Main shop", status: "connected", webhook_state: "refused", webhook_seen_at: "2026-11-30T09:02:00Z", queued: 0 },
    { id: 2, name: "Deliveries", status: "logged_out", webhook_state: "ok", webhook_seen_at: "2026-11-30T10:31:00Z", queued: 14 },
    { id: 3, name: "متجر السكر", status: "need_scan", webhook_state: null, webhook_seen_at: null, queued: 0 },
  ],
  alerts: [
    { id: 9, kind: "webhooks_stopped", session_id: 1, note: "", opened_at: "2026-11-30T09:04:00Z" },
    { id: 8, kind: "link_lost", session_id: 2, note: "", opened_at: "2026-11-30T08:12:00Z" },
  ],
  counts: { sends: { queued: 14, unknown: 1 }, send_age_s: 4_900, journal_failed: 2, media_pending: 6 },
  media: { stored: 18214, lost: 3, bytes: 6_442_450_944, reasons: [{ reason: "WhatsApp has no such file any more (404)", files: 3 }] },
};

/** @type {Entry[]} */
export const FAILED = [
  { id: 4711, session_id: 1, event: "messages.received", reason: "A fault of the gateway itself (KeyError): its log has the details.", received_at: "2026-11-30T10:12:00Z" },
  { id: 4690, session_id: 1, event: "messages.update", reason: "Postgres refuses the data.", received_at: "2026-11-30T09:41:00Z" },
];

/** @type {Finding[]} */
export const FINDINGS = [
  { subject: "database", is_fine: true, says: "Postgres at db.shop.example answers, and a notification came back after 3 ms.", repairs: null, command: null },
  { subject: "triggers", is_fine: false, says: "A trigger of whatsapp_incoming_messages is disabled, so changes are not told: run `gateway migrate`.", repairs: null, command: "gateway migrate" },
  { subject: "session 1", is_fine: false, says: "Its last 12 webhooks were refused, and none was taken: its secret changed upstream.", repairs: 1, command: null },
  { subject: "clock", is_fine: true, says: "This machine\u2019s clock and Postgres\u2019 are 0.0 s apart.", repairs: null, command: null },
];
