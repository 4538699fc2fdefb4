// SPDX-License-Identifier: Apache-2.0
"use strict";

const { unmount } = require("./credfs.js");
const { fail } = require("./runner.js");

// What main.js put into GITHUB_STATE; nothing where it ended before it had a directory.
const { STATE_program: program, STATE_directory: directory } = process.env;
if (program && directory) unmount(program, directory).catch(fail);
