// socket.io: one emit to everybody.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer(async (request, response) => {
  if (!request.url.startsWith("/publish")) return;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const count = Number(new URL(request.url, "http://here").searchParams.get("count"));
  for (let number = 0; number < count; number += 1) server.emit("message", text);
  response.writeHead(204).end();
});
// Its clients answer no pings: they are asked for something only when it is their turn.
const server = new Server(http, { perMessageDeflate: false, transports: ["websocket"], pingInterval: 3_600_000 });
http.listen(0, "127.0.0.1", 2048, () => console.log(`ready ${http.address().port}`));
