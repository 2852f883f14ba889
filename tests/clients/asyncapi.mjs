// Reads an AsyncAPI document from stdin and prints what the official parser has to say about it.
import { text } from "node:stream/consumers";

import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const complaints = diagnostics.filter((one) => one.severity <= 1); // errors and warnings
console.log(
  JSON.stringify({
    version: document?.version() ?? null,
    channels: document?.channels().all().map((channel) => channel.address()) ?? [],
    complaints: complaints.map((one) => `${one.path.join(".")}: ${one.message}`),
  }),
);
