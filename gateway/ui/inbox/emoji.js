/** A small list of emoji of our own, for keyboards that have none; phones and systems bring larger ones. */

import { el, fill } from "../common/dom.js";
import { t } from "../common/strings.js";
import { keep, recall } from "../common/memory.js";

/** Emoji and the words they are found by. */
const GROUPS = /** @type {const} */ ({
  people:
    "😀 smile happy|😁 grin|😂 laugh tears|🙂 smile|😉 wink|😊 blush|😍 love eyes|😘 kiss|😎 cool|🤗 hug|🤔 think|😐 neutral|😅 sweat|😢 sad cry|😭 cry|😡 angry|😴 sleep|🤒 ill|👍 yes good thumb|👎 no bad thumb|👌 ok|👏 clap|🙏 thanks please pray|💪 strong|🤝 deal hands|👋 hello wave|✌️ peace|☝️ one up|👇 down|👉 right point",
  things:
    "📦 box parcel package|🚚 truck delivery|🛵 scooter delivery|🛒 cart shop|🛍️ bags shop|💵 money|💳 card pay|🧾 receipt bill|📄 page paper|📎 clip|📷 camera photo|📱 phone|☎️ phone call|⏰ clock alarm|📅 date calendar|📍 pin place|🏠 home house|🏪 shop store|🎁 gift present|🔑 key|💡 idea light|🔧 tool repair|🧵 thread|👕 shirt|👟 shoe|💍 ring|🌸 flower|☀️ sun|🌧️ rain|⭐ star",
  food:
    "🍎 apple|🍌 banana|🍋 lemon|🥭 mango|🍅 tomato|🥔 potato|🧅 onion|🌶️ pepper chili|🍞 bread|🥚 egg|🧀 cheese|🍗 chicken|🥩 meat|🐟 fish|🍚 rice|🍝 pasta|🍕 pizza|🍔 burger|🥗 salad|🍰 cake|🍫 chocolate|🍯 honey|🧂 salt|☕ coffee|🍵 tea|🥛 milk|🧃 juice|💧 water",
  signs:
    "❤️ heart love|💚 heart green|💙 heart blue|✅ yes done check|❌ no cross|❗ important|❓ question|⚠️ warning|🔴 red|🟢 green|🆕 new|🆗 ok|🔝 top|💯 hundred|➕ plus|➖ minus|➡️ right arrow|⬅️ left arrow|🔄 again|⏳ wait|🎉 party|🔥 fire|✨ sparkle|👀 eyes look",
});

const RECENT = 14;

/** @param {(emoji: string) => void} pick */
export function emojiPanel(pick) {
  const grid = el("div", { class: "wa-emoji-grid" });
  const search = el("input", {
    type: "search",
    class: "wa-input",
    placeholder: t("composer.emoji.search"),
    "aria-label": t("composer.emoji.search"),
  });
  /** @param {string} emoji */
  const choose = (emoji) => {
    const recent = [emoji, ...recall("emoji", /** @type {string[]} */ ([])).filter((one) => one !== emoji)];
    keep("emoji", recent.slice(0, RECENT));
    pick(emoji);
  };
  /** @param {string} emoji @param {string} name */
  const button = (emoji, name) =>
    el("button", { type: "button", class: "wa-emoji", "aria-label": name, title: name, onclick: () => choose(emoji) }, emoji);
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const recent = recall("emoji", /** @type {string[]} */ ([]));
    fill(
      grid,
      !wanted && recent.length > 0 && el("div", { class: "wa-emoji-row" }, ...recent.map((one) => button(one, one))),
      ...Object.entries(GROUPS).map(([group, list]) => {
        const found = list
          .split("|")
          .map((entry) => entry.split(" "))
          .filter(([, ...words]) => !wanted || words.some((word) => word.startsWith(wanted)));
        if (!found.length) return null;
        return el(
          "section",
          {},
          el("h3", {}, t(/** @type {"emoji.people"} */ (`emoji.${group}`))),
          el("div", { class: "wa-emoji-row" }, ...found.map(([emoji, ...words]) => button(emoji, words.join(", ")))),
        );
      }),
    );
  };
  search.addEventListener("input", show);
  show();
  return el("div", { class: "wa-emoji-panel" }, search, grid);
}
