/**
 * The phone page: shows every simulated number and lets a person scan, hold a customer's side of a chat, and unlink.
 * It waits for changes by a long request and then draws what moved; a card that stays is never rebuilt, so that
 * nothing typed is lost. Text reaches the page only through textContent.
 */

import { drawChat } from "./chat.js";
import { ask } from "./control.js";
import { mediaOf, record } from "./files.js";

const WORDS = {
  disconnected: "not connected",
  connecting: "connecting…",
  need_scan: "waiting for a scan",
  need_passkey: "waiting for a passkey",
  connected: "connected",
  logged_out: "logged out",
  expired: "expired",
};
const HINTS = {
  disconnected: "Press Connect in the gateway to get a code.",
  connecting: "One moment.",
  need_scan: "The gateway shows a code now. Scan it with this phone.",
  need_passkey: "The gateway waits for this phone to confirm.",
  logged_out: "The phone removed this link. Connect again in the gateway.",
  expired: "The link ran out. Connect again in the gateway.",
};
const SHOWN_DELIVERIES = 40;

const numbers = document.querySelector("#numbers");
const deliveries = document.querySelector("#deliveries");
const notice = document.querySelector("#notice");
const template = document.querySelector("#number");
const cards = new Map();
/** By card: what a button of one of its messages does. */
const acts = new WeakMap();

/** Does what a button asks for; a refusal becomes the notice. */
async function act(button, work) {
  button.disabled = true;
  try {
    await work();
    notice.textContent = "";
    await draw();
  } catch (error) {
    notice.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

function makeCard(id) {
  const card = template.content.firstElementChild.cloneNode(true);
  const find = (selector) => card.querySelector(selector);
  card.dataset.session = id;
  const [scan, unlink, expire] = [find(".scan"), find(".unlink"), find(".expire")];
  scan.addEventListener("click", () => act(scan, () => ask(`/sessions/${id}/scan`, {})));
  unlink.addEventListener("click", () => act(unlink, () => ask(`/sessions/${id}/unlink`, {})));
  expire.addEventListener("click", () => act(expire, () => ask(`/sessions/${id}/expire`, {})));
  find(".from").value = "+491701234567";
  find(".push-name").value = "Ann";
  find(".people").id = `people-${id}`;
  find(".from").setAttribute("list", `people-${id}`);
  find(".from").addEventListener("change", () => act(find(".see"), async () => {}));
  const digits = () => find(".from").value.replace(/\D/g, "");
  find(".see").addEventListener("click", () => act(find(".see"), () => ask(`/sessions/${id}/chats/${digits()}/read`, {})));
  find(".call").addEventListener("click", () => act(find(".call"), () => ask(`/sessions/${id}/call`, { from: find(".from").value })));
  prepareWriting(card, id);
  return card;
}

/** The customer's composer: text, a picked file, a recording, or a sample. */
function prepareWriting(card, id) {
  const find = (selector) => card.querySelector(selector);
  const write = (message) =>
    ask(`/sessions/${id}/inbound`, { from: find(".from").value, push_name: find(".push-name").value, ...message });
  const [kind, text, file, recorder] = [find(".kind"), find(".text"), find(".file"), find(".record")];
  let media = null;
  let recording = null;

  function attach(next, name = "") {
    media = next;
    find(".attached").hidden = !media;
    find(".file-name").textContent = name;
    text.required = kind.value === "text" && !media;
  }

  /** What the next message is about: an answer to `message`, or other words for it; null for neither. */
  let about = null;

  function turnTo(act, message) {
    about = message && { act, message };
    find(".about").hidden = !about;
    const words = message?.text || message?.kind || "";
    find(".about-words").textContent = act === "edit" ? `Edit: ${words}` : `Reply to: ${words}`;
    if (act === "edit") text.value = message.text ?? "";
    if (about) text.focus();
  }

  find(".forget").addEventListener("click", () => {
    if (about?.act === "edit") text.value = "";
    turnTo("", null);
  });
  acts.set(card, (button, message) => {
    const target = { key_id: message.id, from_me: message.from_shop };
    if (button.dataset.act === "delete") act(button, () => write({ delete: target }));
    else if (button.dataset.act === "react") act(button, () => write({ reaction: { ...target, text: "👍" } }));
    else turnTo(button.dataset.act, message);
  });

  kind.addEventListener("change", () => attach(media, find(".file-name").textContent));
  find(".detach").addEventListener("click", () => attach(null));
  file.addEventListener("change", () => act(find("[type=submit]"), async () => {
    const [picked] = file.files;
    if (picked) attach(await mediaOf(picked), picked.name);
    file.value = "";
  }));
  recorder.addEventListener("click", () => act(recorder, async () => {
    if (recording) {
      const ended = recording;
      recording = null;
      recorder.textContent = "Record";
      recorder.setAttribute("aria-pressed", "false");
      attach(await ended.stop(), "Voice note");
    } else {
      recording = await record();
      recorder.textContent = "Stop";
      recorder.setAttribute("aria-pressed", "true");
    }
  }));
  find(".write").addEventListener("submit", (event) => {
    event.preventDefault();
    act(find("[type=submit]"), async () => {
      const message = {};
      if (about?.act === "edit") message.edit = { key_id: about.message.id, text: text.value };
      else if (text.value) message.text = text.value;
      if (about?.act === "reply") message.reply_to = about.message.id;
      if (media && !message.edit) message.media = media;
      else if (kind.value !== "text" && !message.edit) message.media = { kind: kind.value };
      await write(message);
      turnTo("", null);
      text.value = "";
      kind.value = "text";
      attach(null);
      text.focus();
    });
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      find(".write").requestSubmit();
    }
  });
}

/** The chat of the number that stands in the card's field. */
async function drawCardChat(card, session) {
  const find = (selector) => card.querySelector(selector);
  const phone = find(".from").value.replace(/\D/g, "");
  if (session.status !== "connected" || !phone) return;
  const [chats, chat] = await Promise.all([ask(`/sessions/${session.id}/chats`), ask(`/sessions/${session.id}/chats/${phone}`)]);
  const people = chats.data.map((one) => {
    const option = document.createElement("option");
    option.value = `+${one.phone}`;
    option.label = one.name || one.phone;
    return option;
  });
  find(".people").replaceChildren(...people);
  const onPlay = (message) => {
    if (message.from_shop && message.msgId) ask(`/sessions/${session.id}/chats/${phone}/read`, { msgId: message.msgId });
  };
  drawChat(find(".chat"), find(".doing"), chat.data, { onPlay, onAct: acts.get(card) });
}

function fill(card, session) {
  const find = (selector) => card.querySelector(selector);
  const { status } = session;
  const listens = session.webhook_enabled || status !== "connected";
  card.dataset.status = status;
  find(".name").textContent = session.name;
  find(".phone").textContent = session.phone_number;
  find(".status").textContent = WORDS[status] ?? status;
  find(".status").dataset.status = status;
  find(".hint").textContent = listens ? (HINTS[status] ?? "") : "This session has no webhook: nobody hears what is written here.";
  find(".code").hidden = !session.code_tail;
  find(".counter").textContent = `${session.code_number} of ${session.max_codes}`;
  find(".tail").textContent = session.code_tail ?? "";
  find(".scan").hidden = status !== "need_scan" && status !== "need_passkey";
  find(".write").hidden = status !== "connected";
  find(".ends").hidden = status !== "connected";
}

function drawNumbers(sessions) {
  for (const session of sessions) {
    if (!cards.has(session.id)) {
      const card = makeCard(session.id);
      cards.set(session.id, card);
      numbers.append(card);
    }
    fill(cards.get(session.id), session);
  }
  const present = new Set(sessions.map((session) => session.id));
  for (const [id, card] of cards) {
    if (!present.has(id)) {
      card.remove();
      cards.delete(id);
    }
  }
  document.querySelector("#no-numbers").hidden = sessions.length > 0;
}

function drawDeliveries(rows) {
  const items = rows.slice(0, SHOWN_DELIVERIES).map((row) => {
    const item = document.createElement("li");
    const [event, facts] = [document.createElement("b"), document.createElement("span")];
    item.dataset.testid = "sim-delivery";
    item.dataset.outcome = row.outcome;
    event.textContent = row.event;
    const tries = row.statuses.length ? ` (${row.statuses.join(", ")})` : "";
    const time = new Date(row.created_at * 1000).toLocaleTimeString();
    facts.textContent = `${time} · number ${row.session_id} · ${row.outcome}${tries}`;
    item.append(event, facts);
    return item;
  });
  deliveries.replaceChildren(...items);
  document.querySelector("#no-deliveries").hidden = items.length > 0;
}

/** Draws the newest state; returns its version. */
async function draw() {
  const [sessions, sent] = await Promise.all([ask("/sessions"), ask(`/deliveries?limit=${SHOWN_DELIVERIES}`)]);
  drawNumbers(sessions.data);
  drawDeliveries(sent.data);
  await Promise.all(sessions.data.map((session) => drawCardChat(cards.get(session.id), session)));
  return sessions.version;
}

async function follow() {
  let lost = false;
  for (;;) {
    try {
      const version = await draw();
      if (lost) notice.textContent = "";
      lost = false;
      await ask(`/changes?after=${version}`);
    } catch (error) {
      lost = true;
      notice.textContent = error instanceof TypeError ? "The simulator does not answer. Trying again…" : error.message;
      await new Promise((resume) => setTimeout(resume, 1000));
    }
  }
}

follow();
