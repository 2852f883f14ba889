/**
 * How long a success stays: two seconds in which it can be seen, and as long as a person turns to it.
 *
 * The pointer on the dialog and the focus moved within it hold it; when both have left, the two seconds begin anew.
 * A hidden tab holds it, too. Where pointer and focus rested before says nothing.
 */

const STAYS_MS = 2000;

export class Stay {
  #dialog;
  #leave;
  #timer = 0;
  #runs = false;
  #hasPointer = false;
  #hasFocus = false;
  #pointerAt = "";

  /** @param {HTMLDialogElement} dialog  everything visible is inside its children @param {() => void} leave */
  constructor(dialog, leave) {
    this.#dialog = dialog;
    this.#leave = leave;
    dialog.addEventListener("pointermove", (event) => this.#onPointer(event));
    dialog.addEventListener("pointerdown", (event) => this.#point(event.target !== dialog));
    dialog.addEventListener("pointerleave", () => this.#point(false));
    dialog.addEventListener("focusin", () => this.#focus(true));
    dialog.addEventListener("focusout", (event) => this.#focus(event.relatedTarget !== null));
  }

  begin() {
    this.end();
    this.#runs = true;
    this.#hasPointer = this.#hasFocus = false;
    document.addEventListener("visibilitychange", this.#count);
    this.#count();
  }

  end() {
    this.#runs = false;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#count);
  }

  /** Browsers tell of a move also when the page changes under a pointer that rests. @param {PointerEvent} event */
  #onPointer(event) {
    const at = `${event.screenX} ${event.screenY}`;
    const moved = at !== this.#pointerAt;
    this.#pointerAt = at;
    // The backdrop is the dialog itself.
    if (moved) this.#point(event.target !== this.#dialog);
  }

  /** @param {boolean} on */
  #point(on) {
    if (on === this.#hasPointer) return;
    this.#hasPointer = on;
    this.#count();
  }

  /** @param {boolean} on */
  #focus(on) {
    if (on === this.#hasFocus) return;
    this.#hasFocus = on;
    this.#count();
  }

  #count = () => {
    clearTimeout(this.#timer);
    if (!this.#runs || this.#hasPointer || this.#hasFocus || document.hidden) return;
    this.#timer = setTimeout(this.#leave, STAYS_MS);
  };
}
