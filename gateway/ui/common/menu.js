/** Menus and small panels that hang at a button: in the browser's top layer, closed by Esc or a click elsewhere. */

import { el } from "./dom.js";
import { icon } from "./icons.js";

const GAP_PX = 6;
const EDGE_PX = 8;

/**
 * @typedef {object} MenuItem
 * @property {string} text
 * @property {import("./icons.js").IconName} icon
 * @property {() => void} run
 * @property {boolean} [bad]
 * @property {string} [testid]
 */

/**
 * Shows `content` at `anchor`, and gives back what closes it. The focus goes back where it was.
 *
 * @param {HTMLElement} anchor
 * @param {HTMLElement} content
 * @param {{onClose?: () => void, above?: boolean}} [options]
 */
export function showPanel(anchor, content, { onClose, above = false } = {}) {
  content.setAttribute("popover", "auto");
  content.classList.add("wa-panel");
  // Beside the anchor, so that it is inside the same dialog and the same shadow root.
  anchor.after(content);
  anchor.setAttribute("aria-expanded", "true");
  const before = /** @type {Document | ShadowRoot} */ (anchor.getRootNode()).activeElement;
  content.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    anchor.setAttribute("aria-expanded", "false");
    const hadFocus = content.contains(/** @type {Document} */ (content.getRootNode()).activeElement);
    content.remove();
    if (hadFocus && before instanceof HTMLElement) before.focus();
    onClose?.();
  });
  content.showPopover();
  place(anchor, content, above);
  return () => content.isConnected && content.hidePopover();
}

/** @param {HTMLElement} anchor @param {HTMLElement} content @param {boolean} above */
function place(anchor, content, above) {
  const at = anchor.getBoundingClientRect();
  const { width, height } = content.getBoundingClientRect();
  // It opens towards the middle: away from the edge that its button stands at.
  const wished = at.left + at.right < innerWidth ? at.left : at.right - width;
  const left = Math.min(Math.max(EDGE_PX, wished), innerWidth - width - EDGE_PX);
  const below = at.bottom + GAP_PX;
  const over = at.top - height - GAP_PX;
  const top = (above || below + height > innerHeight - EDGE_PX) && over >= EDGE_PX ? over : below;
  content.style.left = `${left}px`;
  content.style.top = `${Math.max(EDGE_PX, Math.min(top, innerHeight - height - EDGE_PX))}px`;
}

/** A menu of actions. @param {HTMLElement} anchor @param {(MenuItem | false | null)[]} items @param {string} label */
export function showMenu(anchor, items, label) {
  const menu = el("div", { class: "wa-menu", role: "menu", "aria-label": label });
  const close = showPanel(anchor, fillMenu(menu, items, () => close()));
  menu.addEventListener("keydown", (event) => walkMenu(menu, event));
  /** @type {HTMLElement | null} */ (menu.querySelector("button"))?.focus();
}

/** @param {HTMLElement} menu @param {(MenuItem | false | null)[]} items @param {() => void} close */
function fillMenu(menu, items, close) {
  for (const item of items) {
    if (!item) continue;
    const run = () => {
      close();
      item.run();
    };
    const button = el(
      "button",
      {
        type: "button",
        role: "menuitem",
        class: item.bad ? "wa-menu-item wa-danger" : "wa-menu-item",
        data: { testid: item.testid },
        onclick: run,
      },
      icon(item.icon),
      item.text,
    );
    menu.append(button);
  }
  return menu;
}

/** @param {HTMLElement} menu @param {KeyboardEvent} event */
function walkMenu(menu, event) {
  const items = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll("button")]);
  const at = items.indexOf(/** @type {HTMLElement} */ (event.target));
  const last = items.length - 1;
  const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items[to]?.focus();
}
