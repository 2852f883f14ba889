// Node's `ws`: a send per client, the text made once.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const http = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const data = Buffer.concat(chunks);
  const count = Number(new URL(request.url, "http://here").searchParams.get("count"));
  for (let number = 0; number < count; number += 1) {
    for (const client of server.clients) client.send(data, { binary: false });
  }
  response.writeHead(204).end();
});
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
http.listen(0, "127.0.0.1", 2048, () => console.log(`ready ${http.address().port}`));
