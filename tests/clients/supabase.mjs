/**
 * A page's use of Supabase's own client, told line by line what to do.
 *
 * Argument: the name to import it by. SUPABASE_URL, SUPABASE_KEY and, for a page that is logged in from the start,
 * SUPABASE_TOKEN are read from the environment; heartbeats are as far apart as HEARTBEAT_MS says. Lines of stdin:
 * `{"listen": "name", "bindings": [{"event": "*", …}]}`, `{"token": "…"}`, `{"leave": "name"}`. Lines of stdout, each
 * with its `channel`: `{"status": "SUBSCRIBED", "error": …}`, `{"change": {type, table, new, old, errors}}`, `{"system": {…}}`.
 */

import { createInterface } from "node:readline";

const [module] = process.argv.slice(2);
const { SUPABASE_URL, SUPABASE_KEY, SUPABASE_TOKEN, HEARTBEAT_MS } = process.env;
const { createClient } = await import(module);
const isOld = module === "supabase-old";

let token = SUPABASE_TOKEN || null;
const options = isOld
  ? {}
  : {
      // Node 20 has no WebSocket of its own; the old client brings one.
      realtime: { transport: (await import("ws")).WebSocket, heartbeatIntervalMs: Number(HEARTBEAT_MS || 500) },
      accessToken: async () => token,
    };
const client = createClient(SUPABASE_URL, SUPABASE_KEY, options);
const channels = {};

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function listen(name, bindings) {
  const channel = client.channel(name);
  for (const binding of bindings) {
    channel.on("postgres_changes", binding, ({ eventType, table, new: row, old, errors }) =>
      say({ channel: name, change: { type: eventType, table, new: row, old, errors } }),
    );
  }
  channel.on("system", {}, (system) => say({ channel: name, system }));
  channel.subscribe((status, error) => say({ channel: name, status, error: error?.message ?? null }));
  channels[name] = channel;
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (told.listen) listen(told.listen, told.bindings);
  if (told.leave) await client.removeChannel(channels[told.leave]);
  if (told.token) {
    token = told.token;
    if (isOld) client.realtime.setAuth(token);
  }
}
process.exit(0);
