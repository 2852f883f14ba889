/** /docs: the REST API, drawn from /openapi.json. Nothing is sent from here; there is nothing to log in to. */

import { curlOf, fieldsOf, repliesOf, resolve, roleText } from "./docs-model.js";
import { el, fill } from "../common/dom.js";

/** @typedef {import("./docs-model.js").Spec} Spec */
/** @typedef {import("./docs-model.js").Operation} Operation */
/** @typedef {import("./docs-model.js").Field} Field */

const METHODS = ["get", "post", "put", "delete"];

/** Text in which `words like this` are code. @param {string} text */
function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

/** @param {Spec} spec @returns {Operation[]} */
function operationsOf(spec) {
  const found = [];
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS) {
      if (!item[method] || item[method]["x-alias-of"]) continue;
      const aliases = Object.keys(spec.paths).filter(
        (other) => spec.paths[other][method]?.["x-alias-of"] === path,
      );
      const parameters = [...(item.parameters ?? []), ...(item[method].parameters ?? [])];
      found.push({ ...item[method], method, path, aliases, parameters });
    }
  }
  return found;
}

/** @param {string} caption @param {Field[]} fields @param {boolean} [isReply]  what need not come is said, instead */
function fieldTable(caption, fields, isReply = false) {
  const rows = fields.map((field) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("code", {}, field.name),
        !isReply && field.required && el("small", { class: "docs-needed" }, "required"),
        isReply && !field.required && el("small", {}, "may be missing"),
      ),
      el("td", {}, el("span", { class: "docs-type" }, field.type), ...about(field)),
    ),
  );
  return el(
    "div",
    { class: "docs-scroll" },
    el("table", {}, el("caption", {}, caption), el("tbody", {}, ...rows)),
  );
}

/** @param {Field} field */
function about(field) {
  const parts = [];
  if (field.place && field.place !== "query") parts.push(`In the ${field.place}.`);
  if (field.description) parts.push(field.description);
  if (field.fallback !== undefined) parts.push(`Left out: \`${field.fallback}\`.`);
  return parts.length ? [" ", ...prose(parts.join(" "))] : [];
}

/** @param {string} label @param {string} text */
function sample(label, text) {
  return el(
    "figure",
    { class: "docs-sample" },
    el("figcaption", {}, label),
    el("pre", { tabindex: 0 }, el("code", {}, text)),
  );
}

/** @param {Spec} spec @param {Operation} operation */
function request(spec, operation) {
  const parts = [];
  if (operation.parameters.length) {
    const fields = operation.parameters.map((one) => ({
      ...fieldsOf(spec, { properties: { [one.name]: one.schema } })[0],
      description: one.description ?? "",
      required: one.required,
      place: one.in,
    }));
    parts.push(fieldTable("Parameters", fields));
  }
  const body = operation.requestBody?.content["application/json"];
  if (body) {
    const schema = resolve(spec, body.schema);
    const caption = operation.requestBody?.required ? "Body" : "Body (may be left out)";
    if (schema.description) parts.push(el("p", {}, ...prose(schema.description)));
    parts.push(fieldTable(caption, fieldsOf(spec, schema)));
  }
  parts.push(sample("Request", curlOf(operation, new URL(".", location.href).href.replace(/\/$/, ""))));
  return parts;
}

/** @param {Spec} spec @param {Operation} operation */
function replies(spec, operation) {
  const { good, bad } = repliesOf(spec, operation);
  const parts = good.map((reply) =>
    el(
      "div",
      { class: "docs-reply" },
      el("p", {}, el("b", { class: "docs-status" }, reply.status), ...prose(reply.description)),
      reply.media.length > 0 && el("p", { class: "docs-type" }, reply.media.join(", ")),
      reply.fields.length > 0 && details("What it holds", fieldTable("Fields of the reply", reply.fields, true)),
      reply.example !== undefined && sample("Reply", JSON.stringify(reply.example, null, 2)),
    ),
  );
  const rows = bad.map((error) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, el("b", { class: "docs-status" }, error.status)),
      el("td", {}, el("code", {}, error.code), " ", ...prose(error.description)),
    ),
  );
  return [
    ...parts,
    details(
      "What can go wrong",
      el("div", { class: "docs-scroll" }, el("table", { class: "docs-errors" }, el("tbody", {}, ...rows))),
    ),
  ];
}

/** @param {string} summary @param {Node} inside */
function details(summary, inside) {
  return el("details", {}, el("summary", {}, summary), inside);
}

/** @param {Spec} spec @param {Operation} operation */
function article(spec, operation) {
  const heading = `title-${operation.operationId}`;
  return el(
    "article",
    { id: operation.operationId, "aria-labelledby": heading },
    el("h3", { id: heading }, operation.summary),
    el(
      "p",
      { class: "docs-line" },
      el("b", { class: "docs-method", data: { method: operation.method } }, operation.method.toUpperCase()),
      el("code", {}, operation.path),
      el("span", { class: "docs-role" }, roleText(operation)),
    ),
    operation.description !== `${operation.summary}.` && el("p", {}, ...prose(operation.description)),
    operation.aliases.length > 0 &&
      el("p", {}, "Also at ", ...prose(operation.aliases.map((alias) => `\`${alias}\``).join(", ")), "."),
    el("div", { class: "docs-sides" }, el("div", {}, ...request(spec, operation)), el("div", {}, ...replies(spec, operation))),
  );
}

/** @param {Spec} spec @param {Operation[]} operations */
function contents(spec, operations) {
  const search = el("input", {
    type: "search",
    placeholder: "Find an operation",
    "aria-label": "Find an operation",
    "data-testid": "docs-search",
  });
  const groups = spec.tags.map((/** @type {{ name: string, description: string }} */ tag) =>
    el(
      "section",
      {},
      el("h2", {}, tag.name),
      el("ul", {}, ...operations.filter((one) => one.tags[0] === tag.name).map(entry)),
    ),
  );
  search.addEventListener("input", () => {
    const words = search.value.trim().toLowerCase();
    for (const group of groups) {
      for (const item of group.querySelectorAll("li")) item.hidden = !item.dataset.words?.includes(words);
      group.hidden = !group.querySelector("li:not([hidden])");
    }
  });
  return [el("a", { class: "docs-brand", href: "#start" }, "REST API"), search, ...groups];
}

/** @param {Operation} operation */
function entry(operation) {
  const words = `${operation.method} ${operation.path} ${operation.summary} ${operation.aliases.join(" ")}`;
  return el(
    "li",
    { data: { words: words.toLowerCase() } },
    el(
      "a",
      { href: `#${operation.operationId}` },
      el("b", { class: "docs-method", data: { method: operation.method } }, operation.method.toUpperCase()),
      el("span", {}, operation.summary),
    ),
  );
}

/** @param {Spec} spec */
function page(spec) {
  const operations = operationsOf(spec);
  const [first = "", ...rest] = spec.info.description.split("\n\n");
  const groups = spec.tags.map((/** @type {{ name: string, description: string }} */ tag) =>
    el(
      "section",
      { class: "docs-group" },
      el("h2", {}, tag.name),
      el("p", {}, ...prose(tag.description)),
      ...operations.filter((one) => one.tags[0] === tag.name).map((one) => article(spec, one)),
    ),
  );
  return {
    nav: contents(spec, operations),
    main: [
      el(
        "header",
        {},
        el("h1", {}, spec.info.title),
        el("p", { class: "docs-lead" }, ...prose(first)),
        ...rest.map((/** @type {string} */ paragraph) => el("p", {}, ...prose(paragraph))),
        el(
          "p",
          {},
          `Version ${spec.info.version}. For programs: `,
          el("a", { href: "/openapi.json" }, "/openapi.json"),
          " (OpenAPI 3.1). The WebSockets: ",
          el("a", { href: "/asyncapi.json" }, "/asyncapi.json"),
          " (AsyncAPI 3.0).",
        ),
      ),
      ...groups,
    ],
  };
}

async function start() {
  const nav = /** @type {HTMLElement} */ (document.querySelector(".docs-nav"));
  const main = /** @type {HTMLElement} */ (document.querySelector("main"));
  try {
    const reply = await fetch("openapi.json");
    if (!reply.ok) throw new Error(String(reply.status));
    const drawn = page(await reply.json());
    fill(nav, ...drawn.nav);
    fill(main, ...drawn.main);
  } catch {
    fill(main, el("p", { role: "alert" }, "The description could not be loaded. Reload the page to try again."));
    return;
  }
  // The place a link names is there only now.
  if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

start();
