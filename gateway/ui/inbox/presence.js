/** Who else looks at a chat or writes in it, as the gateway says it; forgotten while the gateway is not heard. */

/** @import { Backend } from "../common/backend.js" */
/** @import { Person } from "../common/types.js" */

const SAY_EVERY_MS = 5000;

export class Presence {
  /** @type {Map<string, Person[]>} */
  #chats = new Map();
  #backend;

  /** @param {Backend} backend */
  constructor(backend) {
    this.#backend = backend;
  }

  /** @param {{inbox: string, chat: string, who: Person[]}} presence */
  hear({ inbox, chat, who }) {
    const key = `${inbox}|${chat}`;
    const others = who.filter((person) => person.sub !== this.#backend.me?.sub);
    if (others.length) this.#chats.set(key, others);
    else this.#chats.delete(key);
  }

  /** @param {string} key @returns {Person[]} */
  of(key) {
    return this.#chats.get(key) ?? [];
  }

  /** The gateway is not heard any more: once it is again, it says who is there. True if something went. */
  forget() {
    const had = this.#chats.size > 0;
    this.#chats.clear();
    return had;
  }
}

/** Says every few seconds what one does in a chat, as long as one does it. */
export class OwnPresence {
  #backend;
  /** @type {{session: number, chat: string} | null} */
  #where = null;
  #typingUntil = 0;
  #timer = 0;

  /** @param {Backend} backend */
  constructor(backend) {
    this.#backend = backend;
  }

  /** @param {{session: number, chat: string} | null} where  null: nowhere */
  at(where) {
    this.#where = where;
    clearInterval(this.#timer);
    if (!where) return;
    this.#timer = setInterval(() => this.#say(), SAY_EVERY_MS);
    this.#say();
  }

  typing() {
    const wasTyping = Date.now() < this.#typingUntil;
    this.#typingUntil = Date.now() + SAY_EVERY_MS + 1000;
    if (!wasTyping) this.#say();
  }

  #say() {
    if (!this.#where || document.hidden) return;
    const doing = Date.now() < this.#typingUntil ? "typing" : "viewing";
    this.#backend.client.present(this.#where.session, this.#where.chat, doing);
  }
}
