/** Where administrators write the shop's templates: a list, and one form. */

import { el, fill, uniqueId } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Template } from "../common/types.js" */

/** @param {Element} inside @param {Backend} backend @param {number} session  of which number one came */
export function showTemplates(inside, backend, session) {
  new TemplatePanel(inside, backend, session).open();
}

class TemplatePanel {
  #inside;
  #backend;
  #session;
  #body = el("div", { class: "wa-template-body" });
  #dialog;

  /** @param {Element} inside @param {Backend} backend @param {number} session */
  constructor(inside, backend, session) {
    this.#inside = inside;
    this.#backend = backend;
    this.#session = session;
    const id = uniqueId("templates");
    const close = el(
      "button",
      { type: "button", class: "wa-ghost wa-square", "aria-label": t("common.close"), onclick: () => this.#dialog.close() },
      icon("close"),
    );
    this.#dialog = el(
      "dialog",
      { class: "wa-ask wa-template-panel", "aria-labelledby": id, data: { testid: "template-panel" } },
      el("header", {}, el("h2", { id }, t("templates.title")), close),
      this.#body,
    );
    this.#dialog.addEventListener("close", () => this.#dialog.remove());
  }

  open() {
    this.#inside.append(this.#dialog);
    this.#dialog.showModal();
    void this.#list();
  }

  async #list() {
    fill(this.#body, el("p", { class: "wa-hint" }, icon("spinner"), t("thread.loading")));
    try {
      const { data } = await this.#backend.rest.get("/api/templates");
      this.#showList(data);
    } catch (error) {
      const again = el("button", { type: "button", class: "wa-button", onclick: () => void this.#list() }, t("action.retry"));
      fill(this.#body, el("p", { class: "wa-failure", role: "alert" }, error instanceof RestError ? error.message : t("error.network")), again);
    }
  }

  /** @param {Template[]} all */
  #showList(all) {
    const add = el(
      "button",
      { type: "button", class: "wa-button wa-strong", data: { testid: "add-template" }, onclick: () => this.#showForm(null) },
      icon("plus"),
      t("templates.add"),
    );
    const rows = all.map((template) =>
      el(
        "li",
        { data: { testid: "template" } },
        el(
          "button",
          { type: "button", class: "wa-template-row", onclick: () => this.#showForm(template) },
          el("strong", { dir: "ltr" }, `/${template.shortcut}`),
          el("span", { class: "wa-template-text", dir: "auto" }, template.media && icon("document"), template.text || template.media?.name || ""),
          el("small", {}, this.#numberOf(template.session_id)),
        ),
      ),
    );
    fill(
      this.#body,
      all.length ? el("ul", { class: "wa-template-list" }, ...rows) : el("p", { class: "wa-hint" }, t("templates.none")),
      el("div", { class: "wa-ask-row" }, add),
    );
    add.focus();
  }

  /** @param {number | null} session */
  #numberOf(session) {
    return session === null ? t("list.sessions") : this.#backend.sessions.nameOf(session);
  }

  /** @param {Template | null} template */
  #showForm(template) {
    const id = uniqueId("template");
    const shortcut = el("input", { class: "wa-input", id: `${id}-shortcut`, dir: "ltr", maxlength: 32, required: true, value: template?.shortcut ?? "" });
    const text = el("textarea", { class: "wa-input", id: `${id}-text`, dir: "auto", rows: 4, maxlength: 4096 });
    text.value = template?.text ?? "";
    const numbers = this.#backend.sessions.list();
    const mayAll = this.#backend.me?.sessions === "*";
    const number = el(
      "select",
      { class: "wa-input", id: `${id}-number` },
      mayAll && el("option", { value: "" }, t("list.sessions")),
      ...numbers.map((session) => el("option", { value: String(session.id) }, session.name)),
    );
    number.value = String((template ? template.session_id : mayAll ? null : this.#session) ?? "");
    const file = el("input", { type: "file", class: "wa-input", id: `${id}-file` });
    let keepsFile = Boolean(template?.media);
    const old = template?.media && el(
      "p",
      { class: "wa-template-file" },
      icon("document"),
      el("bdi", {}, template.media.name ?? template.media.kind ?? ""),
      el("button", { type: "button", class: "wa-link", onclick: () => ((keepsFile = false), /** @type {HTMLElement} */ (old).remove()) }, t("templates.file.remove")),
    );
    const complaint = el("p", { class: "wa-complaint", role: "alert" });
    const save = el("button", { type: "submit", class: "wa-button wa-strong" }, t("common.save"));
    const remove = template && el(
      "button",
      { type: "button", class: "wa-button wa-danger", onclick: () => void this.#write(save, complaint, () => this.#backend.rest.delete(`/api/templates/${template.id}`)) },
      t("templates.delete"),
    );
    const form = el(
      "form",
      {},
      el("label", { for: shortcut.id }, t("templates.shortcut")),
      shortcut,
      el("label", { for: text.id }, t("templates.text")),
      text,
      el("p", { class: "wa-hint" }, t("templates.variables")),
      el("label", { for: number.id }, t("templates.number")),
      number,
      el("label", { for: file.id }, t("templates.file")),
      old,
      file,
      complaint,
      el("div", { class: "wa-ask-row" }, remove, el("button", { type: "button", class: "wa-button", onclick: () => void this.#list() }, t("common.cancel")), save),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wish = { shortcut: shortcut.value.trim(), text: text.value, session_id: number.value ? Number(number.value) : null };
      const chosen = file.files?.[0];
      void this.#write(save, complaint, async () => {
        const media = chosen ? await this.#upload(chosen) : keepsFile ? undefined : null;
        const body = media === undefined ? wish : { ...wish, media };
        if (template) await this.#backend.rest.put(`/api/templates/${template.id}`, body);
        else await this.#backend.rest.post("/api/templates", body);
      });
    });
    fill(this.#body, form);
    shortcut.focus();
  }

  /** @param {File} file @returns {Promise<string>} */
  async #upload(file) {
    const path = `/api/media?name=${encodeURIComponent(file.name)}`;
    const reply = await this.#backend.rest.upload(path, file, () => {}, new AbortController().signal);
    return String(reply.data.id);
  }

  /** @param {HTMLButtonElement} button @param {HTMLElement} complaint @param {() => Promise<unknown>} write */
  async #write(button, complaint, write) {
    button.disabled = true;
    complaint.textContent = "";
    try {
      await write();
      this.#backend.forgetTemplates();
      await this.#list();
    } catch (error) {
      if (error instanceof RestError && error.status < 500 && error.status > 0) complaint.textContent = error.message;
      else showFailure(error);
    } finally {
      button.disabled = false;
    }
  }
}
