/**
 * What a person has sent and the gateway has not yet taken: kept over a reload, and sent again under the same
 * `client_id`, so that the customer gets it once however often it is tried.
 */

import { keep, recall } from "../common/memory.js";
import { RestError } from "../common/rest.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Message } from "../common/types.js" */

/**
 * @typedef {object} Parcel
 * @property {string} client_id
 * @property {number} session
 * @property {string} chat
 * @property {string} at
 * @property {Record<string, any>} body
 *
 * @typedef {"taken" | "waiting" | "refused" | "newer"} Outcome
 */

const NAME = "outbox";

/** A name for a reply before it has a row. `randomUUID` exists on https and localhost only. */
export function newClientId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Parcel[]} */
export function waitingParcels() {
  return recall(NAME, /** @type {Parcel[]} */ ([]));
}

/** @param {Parcel} parcel */
export function keepParcel(parcel) {
  keep(NAME, [...waitingParcels().filter((one) => one.client_id !== parcel.client_id), parcel]);
}

/** @param {string} clientId */
export function dropParcel(clientId) {
  const left = waitingParcels().filter((one) => one.client_id !== clientId);
  keep(NAME, left.length ? left : undefined);
}

/** How a parcel looks in the thread until the gateway has it. @param {Parcel} parcel @returns {Message} */
export function messageOf({ client_id, session, chat, at, body }) {
  return {
    id: "",
    direction: "out",
    session_id: session,
    chat,
    client_id,
    message_text: body.text ?? null,
    message_type: body.kind ?? "text",
    media: body.preview ?? null,
    reply_to: body.reply_to ?? null,
    send_after: body.send_at ?? null,
    status: "queued",
    created_at: at,
  };
}

/**
 * Hands a parcel to the gateway, once.
 *
 * @param {Backend} backend @param {Parcel} parcel
 * @returns {Promise<{outcome: Outcome, row?: Message, error?: RestError}>}
 */
export async function post(backend, parcel) {
  const { kind: _kind, preview: _preview, ...body } = parcel.body;
  const path = `/api/conversations/${encodeURIComponent(parcel.chat)}/messages?session=${parcel.session}`;
  try {
    const reply = await backend.rest.post(path, { ...body, client_id: parcel.client_id });
    dropParcel(parcel.client_id);
    return { outcome: "taken", row: reply.data };
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    if (error.code === "newer_reply") {
      dropParcel(parcel.client_id);
      return { outcome: "newer", error };
    }
    // No answer, or one that says nothing about this message: the same name may be tried again.
    const isOpen = error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500;
    if (!isOpen) dropParcel(parcel.client_id);
    return { outcome: isOpen ? "waiting" : "refused", error };
  }
}
