import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const UI = new URL("../../gateway/ui/", import.meta.url);

test("client.d.ts declares every value of the module, and no other", async () => {
  const declared = await readFile(new URL("client.d.ts", UI), "utf8");
  const values = [...declared.matchAll(/^export (?:declare )?(?:function|const|class) (\w+)/gm)].map(
    (match) => match[1],
  );

  assert.deepEqual(values, Object.keys(await import(new URL("client.js", UI))));
});

test("client.d.ts stands alone, so that it can be copied into somebody's project", async () => {
  assert.doesNotMatch(await readFile(new URL("client.d.ts", UI), "utf8"), /^import|from "\.|import\(/m);
});
