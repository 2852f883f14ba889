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

test("no script writes markup, evaluates text or keeps anything in the browser's storage", async () => {
  for (const name of names.filter((file) => file.endsWith(".js"))) {
    assert.doesNotMatch(
      await read(name),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|localStorage|sessionStorage|indexedDB/,
      name,
    );
  }
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
      ...text.matchAll(/(?:src|href)="\/ui\/([^"]+)"|from "(\.[^"]+)"|^import "(\.[^"]+)"/gm),
    ];
    for (const match of wanted) {
      const file = match[1] ?? normalize(join(dirname(name), match[2] ?? match[3]));
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
