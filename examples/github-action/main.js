// SPDX-License-Identifier: Apache-2.0
"use strict";

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { find, storeOptions, succeed } = require("./credfs.js");
const { append, assign, fail, input, mask } = require("./runner.js");

/** What opens the store: an option for descriptor 3, and what is to be read there. */
function opener() {
  const [key, password] = [input("key"), input("password")];
  if (key && password) throw new Error("give a key or a password, not both");
  mask(key);
  mask(password);
  if (key) return [["--key-fd", "3"], key];
  if (password) return [["--password-fd", "3"], password];
  return [[], undefined];
}

/** Options of both `mount` and `env` that were given. */
function given(...names) {
  return names.filter((name) => input(name)).flatMap((name) => [`--${name}`, input(name)]);
}

async function main() {
  const isMasked = { true: true, false: false }[input("mask")];
  if (isMasked === undefined) throw new Error("mask is true or false");
  const [options, secret] = opener();
  const program = find(input("credfs"));
  const directory = fs.mkdtempSync(path.join(process.env.RUNNER_TEMP || os.tmpdir(), "credfs-"));
  // Before there is a mount, so that the end of the job finds it whatever happens here.
  assign("GITHUB_STATE", "program", program);
  assign("GITHUB_STATE", "directory", directory);
  await succeed(
    program,
    ["mount", ...storeOptions(), ...options, ...given("only", "ttl", "on-reject"), "--quiet", directory],
    secret,
  );
  const masking = isMasked ? ["--mask", "github"] : [];
  append(
    "GITHUB_ENV",
    await succeed(program, ["env", ...storeOptions(), ...given("file-var"), ...masking, "--format", "github", directory]),
  );
  assign("GITHUB_OUTPUT", "directory", directory);
}

main().catch(fail);
