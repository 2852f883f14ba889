/**
 * The login page: by name and password, or by the one-time ticket of a link, which is taken out of the address.
 *
 * The ticket is used up by the button's POST only, so that the preview of a link in a chat does not spend it.
 */

import { t } from "./common/strings.js";

/** @template {HTMLElement} T @param {string} selector @returns {T} */
const find = (selector) => /** @type {T} */ (document.querySelector(selector));

const query = new URLSearchParams(location.search);
const ticket = query.get("ticket");
/** Where in the inbox one was when the login ended: the browser carries it here, and back. */
const place = location.hash.startsWith("#/") ? location.hash : "";
/** @type {HTMLFormElement} */ const linkForm = find(".login-link");
/** @type {HTMLFormElement} */ const form = find(".login-form");
const complaint = find(".login-complaint");
const text = find("[data-text]");
const hint = find("[data-hint]");
const title = find("h1");

/** The first field of the form. */
const nameField = () => /** @type {HTMLInputElement} */ (form.elements.namedItem("name"));

/** @param {string} heading @param {string} sentence */
function showForm(heading, sentence) {
  title.textContent = heading;
  text.textContent = sentence;
  hint.textContent = t("login.how");
  linkForm.hidden = true;
  form.hidden = false;
  nameField().focus();
}

/**
 * Logs in, and goes on to the page. What the gateway answers otherwise is returned, as a sentence and its status.
 *
 * @param {Record<string, unknown>} body
 */
async function logIn(body) {
  let response;
  let reply = null;
  try {
    // Beside this page, whatever path a proxy serves us under.
    response = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
    reply = await response.json().catch(() => null);
  } catch {
    return { status: 0, sentence: t("error.network") };
  }
  if (response.ok) {
    location.replace(`./${place}`);
    return null;
  }
  return { status: response.status, sentence: reply?.error ?? t("error.answer", { status: response.status }) };
}

/** One try at a time: the button rests until there is an answer. @param {HTMLFormElement} of @param {() => Promise<void>} work */
function onSubmit(of, work) {
  const button = /** @type {HTMLButtonElement} */ (of.querySelector("button"));
  of.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    await work();
    button.disabled = false;
  });
}

onSubmit(linkForm, async () => {
  const refused = await logIn({ ticket });
  if (refused?.status === 401) showForm(t("login.title"), t("login.refused"));
  else if (refused) text.textContent = refused.sentence;
});

onSubmit(form, async () => {
  const password = /** @type {HTMLInputElement} */ (form.elements.namedItem("password"));
  complaint.textContent = "";
  const refused = await logIn({ name: nameField().value, password: password.value });
  if (!refused) return;
  complaint.textContent = refused.sentence;
  if (refused.status !== 401) return;
  password.value = "";
  password.focus();
});

document.title = t("app.title");
history.replaceState(null, "", location.pathname + place);
find('label[for="login-name"]').textContent = t("login.name");
find('label[for="login-password"]').textContent = t("login.password");
find(".login-form button").textContent = t("login.submit");
find(".login-link button").textContent = t("login.button");
if (query.has("used") || query.has("error")) {
  showForm(t("login.title"), t("login.refused"));
} else if (ticket) {
  title.textContent = t("app.title");
  text.textContent = t("login.ready");
  linkForm.hidden = false;
  find(".login-link button").focus();
} else {
  showForm(t("app.title"), "");
}
