import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join, normalize, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const UI = new URL("../../gateway/ui/", import.meta.url);
const names = (await readdir(UI, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => relative(fileURLToPath(UI), join(entry.parentPath ?? entry.path, entry.name)));
const read = (name) => readFile(new URL(name, UI), "utf8");

test("no script writes markup or evaluates text, and one alone touches the browser's storage", async () => {
  for (const name of names.filter((file) => file.endsWith(".js"))) {
    const text = await read(name);
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|sessionStorage|indexedDB/,
      name,
    );
    if (name !== "common/memory.js") assert.doesNotMatch(text, /localStorage/, name);
  }
});

test("what is kept in the browser is named in one place, and no login is among it", async () => {
  const kept = new Set();
  for (const name of names.filter((file) => file.endsWith(".js") && file !== "common/memory.js")) {
    for (const match of (await read(name)).matchAll(/\b(?:keep|recall)\(\s*([^,)]+)/g)) kept.add(match[1]);
  }
  const allowed = ['"attention"', '"drafts"', '"emoji"', '"language"', '"shortcuts"', '"theme"', "NAME"];
  assert.deepEqual([...kept].sort(), allowed);
});

test("the pages hold no inline script, style or handler, so the strict policy lets them work", async () => {
  for (const name of names.filter((file) => file.endsWith(".html"))) {
    const page = await read(name);
    assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/i, name);
  }
});

test("every file that a page, a script or a style names is there", async () => {
  for (const name of names) {
    const text = await read(name);
    const wanted = [
      ...text.matchAll(/(?:src|href)="\{ui\}\/([^"]+)"|@import "([^"]+)"|from "(\.[^"]+)"|^import "(\.[^"]+)"/gm),
    ];
    for (const match of wanted) {
      const file = match[1] ?? normalize(join(dirname(name), match[2] ?? match[3] ?? match[4]));
      assert.ok(names.includes(file), `${name} → ${match[0]}`);
    }
  }
});

test("nothing is fetched from another site", async () => {
  for (const name of names.filter((file) => /\.(js|css|html)$/.test(file))) {
    assert.doesNotMatch(
      (await read(name)).replaceAll("http://www.w3.org/2000/svg", ""),
      /["'(](https?:)?\/\/[a-z]/i,
      name,
    );
  }
});
