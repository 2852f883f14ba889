/** What /docs shows of an OpenAPI document, as plain values: fields, replies, errors, a sample request. */

/**
 * @typedef {Record<string, any>} Schema
 * @typedef {Record<string, any>} Spec
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} type
 * @property {string} description
 * @property {boolean} required
 * @property {string} [place]  path, query or header
 * @property {unknown} [fallback]
 *
 * @typedef {object} Operation
 * @property {string} method
 * @property {string} path
 * @property {string} operationId
 * @property {string} summary
 * @property {string} description
 * @property {string[]} tags
 * @property {string[]} aliases
 * @property {Schema[]} parameters
 * @property {Schema} [requestBody]
 * @property {Record<string, Schema>} responses
 * @property {string} [x-role]
 *
 * @typedef {object} Reply
 * @property {string} status
 * @property {string} description
 * @property {string[]} media
 * @property {Field[]} fields
 * @property {unknown} [example]
 *
 * @typedef {{ status: string, code: string, description: string }} Fault
 */

/** What a `$ref` stands for. @param {Spec} spec @param {Schema} schema @returns {Schema} */
export function resolve(spec, schema) {
  if (!schema.$ref) return schema;
  /** @type {any} */
  let value = spec;
  for (const step of schema.$ref.slice(2).split("/")) value = value[step];
  return value;
}

/** A type in words. @param {Spec} spec @param {Schema} schema @returns {string} */
export function typeText(spec, schema) {
  const real = resolve(spec, schema);
  if (real.anyOf) return [...new Set(real.anyOf.map((/** @type {Schema} */ one) => typeText(spec, one)))].join(" or ");
  if (real.const !== undefined) return JSON.stringify(real.const);
  if (real.enum) return real.enum.map((/** @type {unknown} */ word) => JSON.stringify(word)).join(" or ");
  if (real.type === "array") return `list of ${typeText(spec, real.items)}`;
  if (real.type === "object" || real.properties) return schema.$ref ? String(real.title) : "object";
  if (real.format === "date-time") return "time";
  const range = real.minimum !== undefined && real.maximum <= 1000 ? ` ${real.minimum}–${real.maximum}` : "";
  return real.type ? real.type + range : "anything";
}

/** The fields of an object. @param {Spec} spec @param {Schema} schema @returns {Field[]} */
export function fieldsOf(spec, schema) {
  const real = resolve(spec, schema);
  return Object.entries(real.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeText(spec, field),
    description: field.description ?? resolve(spec, field).description ?? "",
    required: (real.required ?? []).includes(name),
    fallback: field.default === null || field.default === "" ? undefined : field.default,
  }));
}

/** The fields that matter of a reply: those of its `data`, or of one row. @param {Spec} spec @param {Schema} schema */
function heart(spec, schema) {
  const real = resolve(spec, schema);
  const data = real.properties?.data;
  if (!data) return real;
  const inner = resolve(spec, data);
  return inner.type === "array" ? resolve(spec, inner.items) : inner;
}

/**
 * Successes, and every error code by itself.
 *
 * @param {Spec} spec
 * @param {Operation} operation
 */
export function repliesOf(spec, operation) {
  /** @type {Reply[]} */
  const good = [];
  /** @type {Fault[]} */
  const bad = [];
  for (const [status, named] of Object.entries(operation.responses)) {
    const reply = resolve(spec, named);
    const json = reply.content?.["application/json"];
    if (json?.examples) {
      for (const [code, one] of Object.entries(json.examples)) bad.push({ status, code, description: one.summary });
    } else {
      good.push({
        status,
        description: reply.description,
        media: Object.keys(reply.content ?? {}).filter((media) => media !== "application/json"),
        fields: json ? fieldsOf(spec, heart(spec, json.schema)) : [],
        example: json?.example,
      });
    }
  }
  return { good, bad };
}

/** Who may do it. @param {Operation} operation */
export function roleText(operation) {
  const role = operation["x-role"];
  if (!role) return "open";
  return role === "admin" ? "admin only" : `${role} and above`;
}

/**
 * A request to copy.
 *
 * @param {Operation} operation
 * @param {string} origin
 */
export function curlOf(operation, origin) {
  const path = operation.path.replace(/{(\w+)}/g, (_, name) =>
    String(operation.parameters.find((one) => one.name === name)?.example ?? name),
  );
  const lines = [`curl ${operation.method === "get" ? "" : `-X ${operation.method.toUpperCase()} `}${origin}${path}`];
  if (operation["x-role"]) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  for (const one of operation.parameters) if (one.in === "header") lines.push(`-H "${one.name}: ${one.example}"`);
  const example = operation.requestBody?.content["application/json"]?.example;
  if (example && operation.requestBody?.required) lines.push(`--json '${JSON.stringify(example)}'`);
  return lines.join(" \\\n  ");
}
