/**
 * The base of every element of the page, and of every view inside one: what it starts ends with it, and it is drawn
 * at most once a frame.
 *
 * A subclass builds itself in `begin`, shows what it knows in `draw`, and asks for that by `redraw`. `begin` runs each
 * time the element comes into a document, and everything begun through `on`, `every`, `after`, `ends` stops when it leaves.
 */

import { directionOf, language, useLanguage } from "./strings.js";

const HIDDEN_FRAME_MS = 100;

export class LiveElement extends HTMLElement {
  /** @type {AbortController | null} */
  #life = null;
  #isDue = false;

  /** Aborted when the element leaves the page: goes to `fetch` and `addEventListener`. */
  get signal() {
    this.#life ??= new AbortController();
    return this.#life.signal;
  }

  connectedCallback() {
    this.#life = new AbortController();
    this.begin();
    this.redraw();
  }

  disconnectedCallback() {
    this.#life?.abort();
    this.#life = null;
  }

  /** Builds the inside and starts what runs while the element is on a page. */
  begin() {}

  /** Shows the present state. */
  draw() {}

  /** Many changes of one moment are drawn once. A hidden tab gets no frames, and its title still has to count. */
  redraw() {
    if (this.#isDue || !this.isConnected) return;
    this.#isDue = true;
    let timer = 0;
    const run = () => {
      if (!this.#isDue) return;
      clearTimeout(timer);
      this.#isDue = false;
      if (this.isConnected) this.draw();
    };
    if (!document.hidden) requestAnimationFrame(run);
    timer = setTimeout(run, document.hidden ? 0 : HIDDEN_FRAME_MS);
  }

  /**
   * Listens until the element leaves.
   *
   * @param {EventTarget} target
   * @param {string} type
   * @param {(event: any) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  on(target, type, listener, options = {}) {
    target.addEventListener(type, listener, { ...options, signal: this.signal });
  }

  /** @param {number} ms @param {() => void} run */
  every(ms, run) {
    const timer = setInterval(run, ms);
    this.ends(() => clearInterval(timer));
  }

  /** Calls `end` when the element leaves. @param {() => void} end */
  ends(end) {
    this.signal.addEventListener("abort", end, { once: true });
  }

  /**
   * Takes over the language that the element, its surroundings or the browser ask for.
   * Called by the outermost element, before anything is built.
   */
  adoptLanguage() {
    const asked = this.getAttribute("lang") ?? this.parentElement?.closest("[lang]")?.getAttribute("lang");
    useLanguage(asked ?? null);
    this.dir = directionOf(language());
  }

  /** @param {string} name @param {unknown} [detail] */
  tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }
}

/**
 * Elements by key: made once, updated when their value is another, and put in order without moving what stays.
 *
 * @template T
 */
export class KeyedList {
  /** @type {Map<string, {value: T, element: HTMLElement}>} */
  #known = new Map();
  #parent;
  #make;

  /** @param {Element} parent @param {(value: T, old: HTMLElement | undefined) => HTMLElement} make */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  /** @param {string} key */
  get(key) {
    return this.#known.get(key)?.element;
  }

  /**
   * @param {[string, T][]} entries  in the order they are to stand
   * @param {(a: T, b: T) => boolean} same
   */
  show(entries, same = Object.is) {
    const next = new Map();
    for (const [key, value] of entries) {
      const old = this.#known.get(key);
      const element = old && same(old.value, value) ? old.element : this.#make(value, old?.element);
      next.set(key, { value, element });
      if (old && old.element !== element) old.element.replaceWith(element);
    }
    for (const [key, { element }] of this.#known) if (!next.has(key)) element.remove();
    this.#known = next;
    let at = this.#parent.firstElementChild;
    for (const { element } of next.values()) {
      if (at && element === at) at = at.nextElementSibling;
      else this.#parent.insertBefore(element, at);
    }
  }
}
