import assert from "node:assert/strict";
import { test } from "node:test";

import { curlOf, fieldsOf, repliesOf, roleText, typeText } from "../../gateway/ui/docs/docs-model.js";

const spec = {
  components: {
    schemas: {
      Row: {
        title: "Row",
        type: "object",
        description: "One row.",
        properties: {
          id: { type: "integer", minimum: 1, maximum: 200 },
          at: { anyOf: [{ type: "string", format: "date-time" }, { type: "null" }], default: null },
        },
        required: ["id"],
      },
      Rows: { properties: { success: { const: true }, data: { type: "array", items: { $ref: "#/components/schemas/Row" } } } },
    },
    responses: {
      gone: { content: { "application/json": { examples: { not_found: { summary: "Nothing there." } } } } },
    },
  },
};

const operation = {
  method: "post",
  path: "/things/{id}",
  parameters: [
    { name: "id", in: "path", example: 12 },
    { name: "X-Sign", in: "header", example: "s" },
  ],
  requestBody: { required: true, content: { "application/json": { example: { name: "A" } } } },
  responses: {
    200: { description: "Rows.", content: { "application/json": { schema: { $ref: "#/components/schemas/Rows" }, example: 1 }, "text/csv": {} } },
    404: { $ref: "#/components/responses/gone" },
  },
  "x-role": "agent",
};

test("a type is said in words", () => {
  const row = spec.components.schemas.Row.properties;
  assert.equal(typeText(spec, row.id), "integer 1–200");
  assert.equal(typeText(spec, row.at), "time or null");
  assert.equal(typeText(spec, { enum: ["a", "b"] }), '"a" or "b"');
  assert.equal(typeText(spec, { type: "array", items: { $ref: "#/components/schemas/Row" } }), "list of Row");
});

test("a field says whether it is required, and a null default is no default", () => {
  const [id, at] = fieldsOf(spec, { $ref: "#/components/schemas/Row" });
  assert.equal(id.required, true);
  assert.equal(at.required, false);
  assert.equal(at.fallback, undefined);
});

test("a list's reply shows the fields of one row, and its other media types", () => {
  const { good } = repliesOf(spec, operation);
  assert.deepEqual(good.map((reply) => [reply.status, reply.fields.map((field) => field.name), reply.media]), [
    ["200", ["id", "at"], ["text/csv"]],
  ]);
});

test("every error code is a line of its own", () => {
  assert.deepEqual(repliesOf(spec, operation).bad, [
    { status: "404", code: "not_found", description: "Nothing there." },
  ]);
});

test("the request to copy has the path filled in, the token left out and the needed body", () => {
  assert.equal(
    curlOf(operation, "http://x"),
    `curl -X POST http://x/things/12 \\\n  -H "Authorization: Bearer $TOKEN" \\\n  -H "X-Sign: s" \\\n  --json '{"name":"A"}'`,
  );
});

test("who may do it is said in words", () => {
  assert.equal(roleText({ ...operation, "x-role": "admin" }), "admin only");
  assert.equal(roleText(operation), "agent and above");
  assert.equal(roleText({ ...operation, "x-role": undefined }), "open");
});
