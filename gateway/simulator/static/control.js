/** The simulator's control, as this page calls it. */

/** @param {string} path @param {object} [body] sent as JSON by POST; without it the request is a GET */
export async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const reply = await fetch(`/_simulator${path}`, options);
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error ?? `The simulator answered ${reply.status}.`);
  return answer;
}
