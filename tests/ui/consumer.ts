/** What a developer writes in TypeScript; `npm run check` compiles it against client.d.ts. Never run. */

import {
  connect,
  type Client,
  type PositionMap,
  type StateFrame,
  type StreamEvent,
} from "https://gateway.example.com/ui/client.js";

declare const saved: PositionMap;
const seen: StreamEvent[] = [];
const states = new Map<number, StateFrame>();

export const client: Client = connect("https://gateway.example.com", {
  token: async () => (await fetch("/gateway-token")).text(),
  onEnd: (code) => console.warn(code.toFixed()),
});
export const subscription = client.inbox(12, {
  after: saved,
  onEvent: (event) => seen.push(event),
  onReset: (inbox, reason) => console.warn(inbox.trim(), reason.trim()),
});
client.inbox("*", { after: saved["12"] });
client.sessions({ onState: (frames) => frames.forEach((frame) => states.set(frame.session_id, frame)) });
client.session("12", { onLive: () => client.close() }).close();
client.watch((status) => status === "stale" && client.open());
connect("wss://gateway.example.com/ws", { ticket: () => "t", lazy: true });

// @ts-expect-error  a token is a string, or a function that returns one
connect("https://gateway.example.com", { token: 12 });
// @ts-expect-error  the handler is called onEvent
client.inbox(12, { onMessage: () => undefined });
