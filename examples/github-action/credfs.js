// SPDX-License-Identifier: Apache-2.0
"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { environmentWithoutInputs, input } = require("./runner.js");

/** The exit status of `credfs unmount` where there is no mount. */
const NO_MOUNT = 10;

/**
 * Returns the absolute path of a program.
 *
 * It is looked for once, before any step of the job can change PATH.
 */
function find(program) {
  const candidates = program.includes("/")
    ? [path.resolve(program)]
    : (process.env.PATH ?? "").split(":").filter(path.isAbsolute).map((directory) => path.join(directory, program));
  for (const candidate of candidates) {
    try {
      fs.accessSync(candidate, fs.constants.X_OK);
      return candidate;
    } catch {
      continue;
    }
  }
  throw new Error(`there is no program ${program}: install credfs in a step before this one`);
}

/**
 * Runs a program to its end.
 *
 * `secret` is what it reads from descriptor 3. A signal that asks this process to end is handed on to the program.
 */
function run(program, words, { secret, standardError }) {
  return new Promise((resolve, reject) => {
    const third = secret === undefined ? [] : ["pipe"];
    const child = spawn(program, words, {
      env: environmentWithoutInputs(),
      stdio: ["ignore", "pipe", standardError, ...third],
    });
    const stop = (signal) => child.kill(signal);
    const signals = ["SIGINT", "SIGTERM"];
    for (const signal of signals) process.on(signal, stop);
    let output = "";
    let messages = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    child.stderr?.setEncoding("utf8").on("data", (text) => (messages += text));
    child.on("error", reject);
    child.on("close", (status, signal) => {
      for (const each of signals) process.off(each, stop);
      resolve({ status, signal, output, messages });
    });
    if (secret !== undefined) {
      // A program that ends without reading it says itself why.
      child.stdio[3].on("error", () => {});
      child.stdio[3].end(secret);
    }
  });
}

/** Runs a program that has to succeed, and returns what it prints. Its messages go to the log. */
async function succeed(program, words, secret) {
  const { status, signal, output } = await run(program, words, { secret, standardError: "inherit" });
  if (status !== 0) throw new Error(`credfs ${words[0]} ended with ${signal ?? status}`);
  return output;
}

/** Options that name the store, for every command. */
function storeOptions() {
  return input("manifest") ? ["--manifest", input("manifest")] : [];
}

/**
 * Takes the mount at a directory away, and the directory.
 *
 * Without the directory no mount can begin there any more: a `credfs mount` that outlived a killed step fails.
 */
async function unmount(program, directory) {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const words = ["unmount", ...storeOptions(), "--quiet", directory];
    const { status, signal, messages } = await run(program, words, { standardError: "pipe" });
    if (status !== 0 && status !== NO_MOUNT) {
      throw new Error(`credfs unmount ended with ${signal ?? status}\n${messages}`);
    }
    try {
      fs.rmdirSync(directory);
      return;
    } catch (error) {
      if (error.code === "ENOENT") return;
      if (error.code !== "EBUSY") throw error;
    }
  }
  throw new Error(`${directory} is mounted again and again`);
}

module.exports = { find, storeOptions, succeed, unmount };
