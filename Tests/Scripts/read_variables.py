#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a program reads out of a file of variables.

usage: read_variables.py READER FILE NAME...

Prints a JSON object of the names and their values in Base64. READER is a program that is run here, or github or gitlab:
what is written there is what actions/runner (FileCommandManager) and GitLab (the parser of dotenv artifacts) do.
"""

import base64
import ctypes
import glob
import http.server
import itertools
import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading

SHELLS = {
    "sh": ["/bin/sh"],
    "bash": ["/bin/bash"],
    "dash": ["/bin/dash"],
    "busybox": ["/bin/busybox", "sh"],
}
SOURCED = '. "$1" || exit; shift; '
EVALUATED = 'eval "$(cat "$1")" || exit; shift; '
PRINTED = r'''for name; do eval "printf '%s\\0' \"\$$name\""; done'''


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def assignments(lines):
    pairs = [line.split(b"=", 1) for line in lines]
    return {name.decode(): value for name, value in pairs}


def shell(command, script, path, names):
    # A directory in which a file that a value makes would be seen.
    with tempfile.TemporaryDirectory() as place:
        output = run([*command, "-c", script + PRINTED, "sh", path, *names], cwd=place, env={"PATH": "/usr/bin:/bin"})
        assert not os.listdir(place), "a value was run"
    return dict(zip(names, output.split(b"\0")))


def python_dotenv(path, names):
    import dotenv

    return {name: value.encode() for name, value in dotenv.dotenv_values(path).items()}


def node(path, names):
    program = r"""
        const {readFileSync} = require('fs'), {parseEnv} = require('util');
        // Before version 20.12 there is no parser in Node.js: what the later one and the package dotenv agree on.
        const parse = parseEnv ?? ((text) => Object.fromEntries(
            Array.from(text.matchAll(/^(\w+)=(?:'([^']*)'|"([^"]*)"|(.*))$/gm), ([, name, raw, cooked, bare]) =>
                [name, raw ?? cooked?.replaceAll('\\n', '\n') ?? bare.trim()])));
        console.log(JSON.stringify(parse(readFileSync(process.argv[1], 'utf8'))));
    """
    return {name: value.encode() for name, value in json.loads(run(["node", "-e", program, path])).items()}


def node_json(path, names):
    program = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(process.argv[1], 'utf8'))))"
    return {name: value.encode() for name, value in json.loads(run(["node", "-e", program, path])).items()}


def python_json(path, names):
    with open(path, encoding="utf-8", newline="") as file:
        return {name: value.encode() for name, value in json.load(file).items()}


def python_yaml(path, names):
    import yaml

    with open(path, encoding="utf-8", newline="") as file:
        return {name: value.encode() for name, value in yaml.safe_load(file).items()}


class Daemon(http.server.BaseHTTPRequestHandler):
    """Answers the docker program as far as to hear what container it wants."""

    protocol_version = "HTTP/1.1"
    environment = []

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        self.answer({"ApiVersion": "1.41", "Id": "stand-in", "Warnings": []})

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/containers/create" in self.path:
            Daemon.environment = json.loads(body)["Env"]
        self.do_GET()

    def address_string(self):
        return "docker"

    def log_message(self, *arguments):
        pass


def docker(path, names):
    with tempfile.TemporaryDirectory() as place:
        socket = os.path.join(place, "socket")
        with socketserver.ThreadingUnixStreamServer(socket, Daemon) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            environment = {"DOCKER_HOST": "unix://" + socket, "HOME": place, "PATH": os.environ["PATH"]}
            run(["docker", "create", "--env-file", path, "image"], env=environment)
            server.shutdown()
    return assignments(line.encode() for line in Daemon.environment)


def systemd(path, names):
    """Lets the parser of the service manager itself read the file, which sits in a library of its own."""
    library = ctypes.CDLL(sorted(glob.glob("/usr/lib/*/systemd/libsystemd-shared-*.so"))[-1])
    lines = ctypes.POINTER(ctypes.c_char_p)()
    result = library.load_env_file(None, path.encode(), ctypes.byref(lines))
    assert result >= 0, os.strerror(-result)
    # What no environment can hold is dropped afterwards.
    library.strv_env_clean_with_callback.restype = ctypes.POINTER(ctypes.c_char_p)
    lines = library.strv_env_clean_with_callback(lines, None, None)
    return assignments(itertools.takewhile(lambda line: line is not None, lines))


def github(path, names):
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    variables = {}
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        name, separator, rest = re.fullmatch("(.*?)(=|<<)(.*)", line, re.DOTALL).groups()
        if separator == "<<":
            end = lines.index(rest)
            rest, lines = "\n".join(lines[:end]), lines[end + 1 :]
        variables[name] = rest.encode()
    return variables


def gitlab(path, names):
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().removesuffix("\n").split("\n")
    # Of Ruby: `line.scan(/^(.*)=(.*)$/).last.each(&:strip!)`.
    pairs = [re.fullmatch("(.*)=(.*)", line).groups() for line in lines]
    pairs = [(name.strip(), value.strip()) for name, value in pairs]
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for name, value in pairs), pairs
    return {name: value.encode() for name, value in pairs}


READERS = {
    function.__name__.replace("_", "-"): function
    for function in (python_dotenv, node, node_json, python_json, python_yaml, docker, systemd, github, gitlab)
}


def read(reader, path, names):
    kind, _, program = reader.partition(" ")
    if kind in ("source", "eval"):
        return shell(SHELLS[program], SOURCED if kind == "source" else EVALUATED, path, names)
    return READERS[reader](path, names)


if __name__ == "__main__":
    values = read(sys.argv[1], sys.argv[2], sys.argv[3:])
    json.dump({name: base64.b64encode(value).decode() for name, value in values.items()}, sys.stdout)
