/**
 * The shapes that cross the wire, as the page reads them. Types only: this module holds no code.
 *
 * @typedef {"viewer" | "agent" | "admin"} Role
 *
 * @typedef {object} Me  who is logged in
 * @property {string} sub
 * @property {string} name
 * @property {Role} role
 * @property {"*" | number[]} sessions
 * @property {number} [expires_at]  unix seconds
 * @property {string} [timezone]  IANA name; day lines are drawn in it
 * @property {boolean} [simulator]  a simulated phone stands at /simulator
 * @property {boolean} [can_send]  the server takes replies
 *
 * @typedef {object} Session
 * @property {number} id
 * @property {string} name
 * @property {string} phone_number
 * @property {string} status
 * @property {boolean | null} [account_protection]
 * @property {string | null} [webhook_url]
 * @property {string | null} [last_connected_at]
 * @property {string | null} [created_at]
 * @property {string | null} [checked_at]
 * @property {string | null} [source]
 * @property {boolean} [stale]
 * @property {Record<string, unknown> | null} [user_info]
 *
 * @typedef {object} Message  a row, with direction, session_id, chat and phone
 * @property {string} id
 * @property {"in" | "out"} direction
 * @property {number} session_id
 * @property {string | null} chat
 * @property {string | null} [phone]
 * @property {string | null} [message_id]
 * @property {string | null} [client_id]
 * @property {string | null} [message_text]
 * @property {string | null} [message_type]
 * @property {string | null} [media_url]
 * @property {string | null} [received_at]
 * @property {string | null} [sent_at]
 * @property {string | null} [created_at]
 * @property {string | null} [send_after]
 * @property {string | null} [edited_at]
 * @property {string | null} [deleted_at]
 * @property {string | null} [push_name]
 * @property {string | null} [error]
 * @property {boolean | null} [is_read]
 * @property {string | null} [status]  delivery state of an outgoing message
 *
 * @typedef {object} Conversation
 * @property {number} session_id
 * @property {string} chat
 * @property {string | null} phone
 * @property {string | null} name
 * @property {number} unread
 * @property {boolean} replied
 * @property {Message | null} last_message
 * @property {string | null} last_at
 *
 * @typedef {{off: number, epoch: string | null}} Position
 * @typedef {Record<string, Position>} PositionMap  by inbox
 *
 * @typedef {object} StreamEvent  one committed change, as the client hands it on
 * @property {string} inbox
 * @property {number} off
 * @property {string | null} epoch  null while the client does not know it
 * @property {string} event
 * @property {string} [at]
 * @property {Message} data
 *
 * @typedef {object} LinkCode  data of `session.qr`
 * @property {string | null} qr_code  data URL of a picture
 * @property {string} [qrCode]
 * @property {number} seq
 * @property {string} [issued_at]
 * @property {string} expires_at
 * @property {number} [attempt]
 * @property {number} [max_attempts]
 * @property {string | null} [scanned_at]
 *
 * @typedef {object} StateFrame
 * @property {string} topic
 * @property {number} session_id
 * @property {"session" | "link"} part
 * @property {number} version
 * @property {string} event
 * @property {string} [at]
 * @property {string | null} [expires_at]
 * @property {any} data
 *
 * @typedef {"online" | "reconnecting" | "offline" | "stale"} ConnectionState
 */

export {};
