/**
 * The login page: hands the one-time ticket of the address to the form, and takes it out of the address.
 *
 * The ticket is used up by the button's POST only, so that the preview of a link in a chat does not spend it.
 */

import { t } from "./shared/strings.js";

const query = new URLSearchParams(location.search);
const ticket = query.get("ticket");
const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const text = /** @type {HTMLElement} */ (document.querySelector("[data-text]"));
const title = /** @type {HTMLElement} */ (document.querySelector("h1"));

document.title = t("app.title");
history.replaceState(null, "", location.pathname);
if (query.has("used") || query.has("error")) {
  title.textContent = t("login.title");
  text.textContent = t("login.refused");
} else if (ticket) {
  /** @type {HTMLInputElement} */ (form.elements.namedItem("ticket")).value = ticket;
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
  title.textContent = t("app.title");
  text.textContent = t("login.ready");
  button.textContent = t("login.button");
  form.hidden = false;
  button.focus();
} else {
  title.textContent = t("login.title");
  text.textContent = `${t("login.how")} ${t("login.operator")}`;
}
