// Renders TeX at build time: one JSON request a line in, one JSON answer a line out.
"use strict";
const katex = require(process.argv[2]);
const readline = require("readline");

function render({ tex, display, macros }) {
  try {
    const options = { displayMode: display, macros, throwOnError: true, strict: "error" };
    return { html: katex.renderToString(tex, options) };
  } catch (error) {
    return { error: error.message };
  }
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => process.stdout.write(JSON.stringify(render(JSON.parse(line))) + "\n"));
