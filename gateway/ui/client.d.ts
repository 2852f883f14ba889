/**
 * The gateway's realtime client for browsers and everything else that has `WebSocket`: one connection that comes
 * back by itself, resumes where each inbox stood, drops what comes twice and sees what is missing.
 *
 *     import { connect } from "https://gateway.example.com/ui/client.js";
 *     const client = connect("https://gateway.example.com", { token });
 *     client.inbox("12", { onEvent: (event) => show(event.data) });
 */

/** `reconnecting` turns into `offline` after half a minute; `stale`: connected, but the gateway cannot hear its database. */
export type ConnectionState = "online" | "reconnecting" | "offline" | "stale";

/** Everything up to and including `off` of history `epoch`; null while the client was not told the history. */
export interface Position {
  off: number;
  epoch: string | null;
}

/**
 * By inbox: `position` of a REST reply, or of a subscription. May be kept as JSON. Under `"*"` it may hold the word of
 * `?position=page` for all inboxes that it does not name.
 */
export type PositionMap = Record<string, Position>;

/** A row of messages, without `raw_data`. More columns may come. */
export interface Message {
  id: string;
  direction: "in" | "out";
  session_id: number;
  /** JID of the counterpart. */
  chat: string | null;
  phone?: string | null;
  /** Of the shop's own columns whose names stand here for something else. */
  columns?: Record<string, unknown>;
  message_id?: string | null;
  client_id?: string | null;
  message_text?: string | null;
  message_type?: string | null;
  media_url?: string | null;
  received_at?: string | null;
  sent_at?: string | null;
  created_at?: string | null;
  send_after?: string | null;
  edited_at?: string | null;
  deleted_at?: string | null;
  push_name?: string | null;
  error?: string | null;
  error_code?: string | null;
  /** Set by the page on a message that the gateway has not taken: `waiting` or `refused`. Never on the wire. */
  local?: string | null;
  /** `ref` of the message that this one answers: `in:5` or `out:7`. */
  reply_to?: string | null;
  reactions?: { emoji: string; by?: string | null; name?: string | null; at?: string | null }[] | null;
  /** The file of the message, as `GET /api/media/{id}` serves it. */
  media?: Media | null;
  /** What the kind needs besides its text: place, contact, order, product, payment, event, poll. */
  payload?: Record<string, any> | null;
  from_phone?: string | null;
  origin?: string | null;
  created_by?: string | null;
  created_by_sub?: string | null;
  queue_position?: number | null;
  sending_at?: string | null;
  overtaken_by?: string | null;
  is_read?: boolean | null;
  /** Delivery state of an outgoing message. */
  status?: string | null;
}

/** A file of a message. More columns may come. */
export interface Media {
  id?: string;
  /** `stored` can be fetched, `pending` may come, `lost` does not come any more; then `reason` says why. */
  state?: "pending" | "stored" | "lost";
  reason?: string | null;
  kind?: string;
  mime?: string | null;
  name?: string | null;
  bytes?: number | null;
  width?: number | null;
  height?: number | null;
  seconds?: number | null;
  pages?: number | null;
  waveform?: number[] | string | null;
  /** A small picture, as a data URL. */
  preview?: string | null;
}

/** One committed change: each is handed on once, in the order of its inbox. */
export interface StreamEvent {
  inbox: string;
  off: number;
  epoch: string | null;
  /** `message.created`, `message.updated`, `message.status`, `message.deleted`; others may come. */
  event: string;
  at?: string;
  data: Message;
  /** Columns left out (null) because the frame would have been too long; REST has them. */
  truncated?: string[];
}

/** The newest value of one part of one session. An older one never comes after a newer. */
export interface StateFrame {
  topic: string;
  session_id: number;
  part: "session" | "link" | "sending";
  version: number;
  /** `session.created|updated|status|deleted`, `session.qr`, `session.link_trouble`, `session.link_ended`, `session.sending`; others may come. */
  event: string;
  at?: string;
  expires_at?: string | null;
  data: any;
}

export interface StreamHandlers {
  onEvent?: (event: StreamEvent) => void;
  /**
   * What was loaded of this inbox is of no use: load it again by REST; events go on by themselves.
   * `offset_expired`, `epoch_changed`, `offset_unknown`, `gap` if something was lost on the way, or
   * `epoch_unknown` if the client was cut off before it was told which history its first events are of.
   */
  onReset?: (inbox: string, reason: string) => void;
  /** Everything up to now has been handed on. Called after every subscribe, so after every reconnect, too. */
  onLive?: () => void;
  /** The server refused the topic, or a new login does not cover it any more. */
  onError?: (code: string, message: string) => void;
  /** Who looks at a chat or writes in it; empty when the last one has gone. */
  onPresence?: (presence: Presence) => void;
}

export interface Presence {
  inbox: string;
  chat: string;
  who: { sub: string; name: string; doing: "viewing" | "typing" }[];
}

export interface StreamOptions extends StreamHandlers {
  /** Where loaded data stands; without it the stream starts from now. A single inbox also takes its own entry. */
  after?: PositionMap | Position;
}

export interface StateHandlers {
  /** A snapshot is the whole value of the topic: what is not in it is not there any more. */
  onState?: (states: StateFrame[], isSnapshot: boolean) => void;
  onLive?: () => void;
  onError?: (code: string, message: string) => void;
}

export interface Subscription {
  /** Where the inbox, or each inbox of `*`, stands: goes in as `after` next time. Empty for states. */
  readonly position: PositionMap;
  close(): void;
}

export interface ConnectOptions {
  /**
   * Returns a JWT; null means the cookie. Asked when a connection is made, and again before the token expires: the
   * open connection then gets the new one in place. One that throws is asked again later.
   */
  token?: (() => Promise<string | null> | string | null) | string;
  /** Returns a one-time ticket (`POST /api/tickets`), for pages that hold no token. Asked for every connection. */
  ticket?: () => Promise<string> | string;
  /** The server wants us gone, and coming back is of no use: 4501 login over, 4503 forbidden, 4529 too many, 4500 bad frame. */
  onEnd?: (code: number) => void;
  /** The server was replaced by another version. */
  onVersion?: (version: string) => void;
  /** Connects at `open()` only. */
  lazy?: boolean;
}

export interface Client {
  readonly status: ConnectionState;
  /** Calls `watcher` now and at every change; returns a function that ends this. */
  watch(watcher: (status: ConnectionState) => void): () => void;
  /** Changes of one inbox, or with `"*"` of all one may read, also ones created later. */
  inbox(inbox: string | number, options?: StreamOptions): Subscription;
  /** The `session` part of every session one may see. */
  sessions(handlers: StateHandlers): Subscription;
  /** Both parts of one session: itself, and its attempt to link. Viewers get no `link` part. */
  session(id: string | number, handlers: StateHandlers): Subscription;
  /** Tells the others what one does in a chat; said again every 5 s while it lasts. Without the feature it says nothing. */
  present(inbox: string | number, chat: string, doing: "viewing" | "typing"): void;
  /** Connects, or tries again at once; also after the server sent us away. */
  open(): void;
  /** Disconnects and stays so until `open()`. Subscriptions are kept. */
  close(): void;
}

/** @param url of the gateway: http(s) or ws(s); `/ws` at its end may be left out */
export function connect(url: string, options?: ConnectOptions): Client;
