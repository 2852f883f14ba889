/** The chat of one customer with the shop: drawn anew only where something moved. Text only through textContent. */

const TICKS = ["✗", "🕓", "✓", "✓✓", "✓✓", "▶"];
const STATES = ["failed", "pending", "sent", "delivered", "read", "played"];
const DOING = { composing: "The shop is typing…", recording: "The shop records a voice note…" };
const template = document.querySelector("#bubble");
/** By bubble: its message as it stands now. */
const shown = new WeakMap();

function fileElement(message, onPlay) {
  const { kind, file } = message;
  const address = `/_simulator/media/${encodeURIComponent(file.name)}?type=${encodeURIComponent(file.mime)}`;
  const tag = { image: "img", sticker: "img", video: "video", audio: "audio" }[kind];
  if (!tag) {
    const link = document.createElement("a");
    link.href = address;
    link.download = file.title ?? "document";
    link.textContent = file.title ?? "Document";
    return link;
  }
  const element = document.createElement(tag);
  element.src = address;
  if (tag === "img") {
    element.alt = kind === "sticker" ? "Sticker" : "Picture";
  } else {
    element.controls = true;
    element.preload = "metadata";
    element.addEventListener("play", () => onPlay(message), { once: true });
  }
  return element;
}

/** The customer sees ticks at its own messages; the shop's show here what the customer has made of them. */
function ticksOf(message) {
  if (message.from_shop) return message.state === undefined ? "sent" : STATES[message.state];
  return message.read ? "read" : "delivered";
}

function makeBubble(message, hands) {
  const bubble = template.content.firstElementChild.cloneNode(true);
  for (const button of bubble.querySelectorAll(".acts button")) {
    button.addEventListener("click", () => hands.onAct(button, shown.get(bubble)));
  }
  bubble.dataset.id = message.id;
  bubble.dataset.by = message.from_shop ? "shop" : "customer";
  if (message.file) bubble.querySelector(".file-place").append(fileElement(message, hands.onPlay));
  return bubble;
}

function fillBubble(bubble, message) {
  shown.set(bubble, message);
  const find = (selector) => bubble.querySelector(selector);
  const ticks = ticksOf(message);
  const words = message.deleted ? "This message was deleted." : (message.text ?? "");
  bubble.toggleAttribute("data-gone", Boolean(message.deleted));
  find(".quote").hidden = !message.quoted;
  find(".quote").textContent = message.quoted ?? "";
  find(".words").textContent = message.kind === "location" ? `📍 ${words}` : words;
  const isOwn = !message.from_shop;
  find(".acts").hidden = Boolean(message.deleted);
  find("[data-act=edit]").hidden = !isOwn || message.kind !== "text";
  find("[data-act=delete]").hidden = !isOwn;
  find(".file-place").hidden = Boolean(message.deleted);
  find(".reaction").textContent = message.reaction ?? "";
  const time = new Date(message.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  find(".time").textContent = message.edited ? `edited · ${time}` : time;
  find(".ticks").textContent = TICKS[STATES.indexOf(ticks)];
  find(".ticks").dataset.state = ticks;
  find(".ticks").title = message.failed ?? ticks;
}

/**
 * Shows `chat` (`messages`, `shop`) in `list` and `doing`. Stays at the end if it was there. Of `hands`, `onPlay(message)`
 * hears what is played, and `onAct(button, message)` which button of a message is pressed.
 */
export function drawChat(list, doing, chat, hands) {
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 24;
  const known = new Map([...list.children].map((bubble) => [bubble.dataset.id, bubble]));
  const bubbles = chat.messages.map((message) => {
    const bubble = known.get(message.id) ?? makeBubble(message, hands);
    fillBubble(bubble, message);
    return bubble;
  });
  if (bubbles.length !== list.children.length || bubbles.some((bubble, i) => list.children[i] !== bubble)) {
    list.replaceChildren(...bubbles);
  }
  doing.textContent = DOING[chat.shop] ?? "";
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}
