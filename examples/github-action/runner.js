// SPDX-License-Identifier: Apache-2.0
"use strict";

// The protocol between an action and its runner (docs.github.com, "Workflow commands").

const crypto = require("node:crypto");
const fs = require("node:fs");

/** Returns an input without white space around it; empty where it was not given. */
function input(name) {
  return (process.env[`INPUT_${name.toUpperCase()}`] ?? "").trim();
}

/** Returns a copy of the environment without the inputs, of which one is the key. */
function environmentWithoutInputs() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("INPUT_")));
}

/** Appends to the file that a variable of the runner names. */
function append(variable, text) {
  const file = process.env[variable];
  if (!file) throw new Error(`the runner sets no ${variable}`);
  fs.appendFileSync(file, text);
}

/** Writes NAME and a value of any lines to such a file. */
function assign(variable, name, value) {
  const delimiter = `CREDFS_${crypto.randomUUID()}`;
  append(variable, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}

/** Hides each line of a value in the log. */
function mask(value) {
  for (const line of value.split(/[\r\n]+/)) {
    if (line.trim()) process.stdout.write(`::add-mask::${escaped(line)}\n`);
  }
}

/** Ends the step as a failed one, with a message that is shown at the job. */
function fail(error) {
  process.stdout.write(`::error::credfs: ${escaped(error.message)}\n`);
  process.exitCode = 1;
}

function escaped(text) {
  return text.replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}

module.exports = { append, assign, environmentWithoutInputs, fail, input, mask };
