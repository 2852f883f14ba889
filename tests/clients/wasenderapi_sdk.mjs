/**
 * Calls WasenderAPI's own SDK as it is told, so that a test can play the phone in between.
 *
 * Arguments: the name to import it by, and the base URL. The token is read from the environment. Each line of
 * stdin is a call, `{"call": "connectWhatsAppSession", "args": [12]}`; each line of stdout is what came of it:
 * `{"result": …}`, or `{"error": {…}}` if the SDK threw.
 */

import { createInterface } from "node:readline";

const [module, baseUrl] = process.argv.slice(2);
const { createWasender } = await import(module);
const sdk = createWasender(process.env.WASENDER_API_KEY, process.env.WASENDER_PERSONAL_ACCESS_TOKEN, baseUrl);

for await (const line of createInterface({ input: process.stdin })) {
  const { call, args } = JSON.parse(line);
  let said;
  try {
    said = { result: (await sdk[call](...args)).response };
  } catch (error) {
    const { name, message, statusCode, apiMessage, errorDetails, retryAfter } = error;
    said = { error: { name, message, statusCode, apiMessage, errorDetails, retryAfter } };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
