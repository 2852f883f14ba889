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
 * @property {boolean} [can_record]  the server takes voice notes that a browser records
 *
 * @typedef {object} Session
 * @property {number} id
 * @property {string} name
 * @property {string} phone_number
 * @property {string} status
 * @property {string | null} [webhook_state]  `ok`, or what is wrong with its webhooks
 * @property {string | null} [webhook_note]
 * @property {boolean | null} [account_protection]
 * @property {string | null} [webhook_url]
 * @property {string | null} [last_connected_at]
 * @property {string | null} [created_at]
 * @property {string | null} [updated_at]
 * @property {string | null} [checked_at]
 * @property {string | null} [source]
 * @property {boolean} [stale]
 * @property {Record<string, unknown> | null} [user_info]
 *
 * @typedef {object} Totals  numbers of conversations
 * @property {number} all
 * @property {number} unread
 * @property {number} unreplied
 * @property {number} [mine]
 * @property {number} [free]
 * @property {number} [groups]
 *
 * @typedef {object} Reaction
 * @property {string} emoji
 * @property {string | null} [by]
 * @property {string | null} [name]
 * @property {string | null} [at]
 *
 * @typedef {object} SendingState  part `sending` of `session:<id>`
 * @property {number} queued
 * @property {string | null} [next_at]
 * @property {string | null} [paused_until]
 * @property {string | null} [reason]
 *
 * @typedef {object} Person  who looks at or writes in a chat
 * @property {string} sub
 * @property {string} name
 * @property {"viewing" | "typing"} doing
 *
 * @typedef {object} Template
 * @property {number} id
 * @property {number | null} session_id  null: for all numbers
 * @property {string} shortcut
 * @property {string} text
 * @property {Media | null} [media]
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
 * @property {"person" | "group" | string} [kind]
 * @property {string | null} [owner]  `sub` of who has taken it
 * @property {string | null} [owner_name]
 * @property {boolean} [done]
 * @property {boolean} [marked_unread]
 * @property {boolean} [blocked]
 * @property {string | null} [waiting_since]
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
 * @property {LinkTrouble | null} [trouble]
 *
 * @typedef {object} LinkTrouble  why WasenderAPI does not answer, while the gateway goes on asking
 * @property {string} code
 * @property {string} message
 * @property {string | null} [action]
 * @property {string | null} [retry_at]
 *
 * What the client hands on, as everybody else sees it, too:
 *
 * @typedef {import("../client.js").Media} Media
 * @typedef {import("../client.js").Message} Message
 * @typedef {import("../client.js").Position} Position
 * @typedef {import("../client.js").PositionMap} PositionMap
 * @typedef {import("../client.js").StreamEvent} StreamEvent
 * @typedef {import("../client.js").StateFrame} StateFrame
 * @typedef {import("../client.js").ConnectionState} ConnectionState
 */

export {};
