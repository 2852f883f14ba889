/** Building elements. Text only ever becomes a text node, so no customer can write markup. */

/**
 * @typedef {string | number | Node | null | undefined | false} Child
 * @typedef {Record<string, any>} Attributes  `on…` are listeners, `data` a dataset, null and false are left out
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") for (const [key, text] of Object.entries(value)) setData(element, key, text);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {HTMLElement} element @param {string} key @param {any} value */
function setData(element, key, value) {
  if (value !== null && value !== undefined) element.dataset[key] = String(value);
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what is inside. @param {Element} element @param {Child[]} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Makes the children of `parent` exactly `wanted`, moving only what is out of place, so that focus, scroll and
 * hover of what stays are left alone.
 *
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

let lastId = 0;

/** An id nobody else on the page has. @param {string} purpose */
export function uniqueId(purpose) {
  lastId += 1;
  return `wa-${purpose}-${lastId}`;
}

/**
 * Runs `task` some time after the last call.
 *
 * @param {() => void} task
 * @param {number} ms
 */
export function debounced(task, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(task, ms);
  };
}
