# SPDX-License-Identifier: Apache-2.0
"""A double of Vault on this machine, for tests: the KV engine in both versions, tokens, AppRole and name spaces.

It answers as the API documentation of Vault says, and hvac, a client of others, reads from it before any test does. Prints one
line of JSON with its address and what lets somebody in, and ends when standard input does. `POST /control/revoke` ends every token
that a login gave; `GET /control/count/PATH` says how many requests there were for a path.
"""

import collections
import http.server
import json
import os
import secrets
import shutil
import sys
import threading
import urllib.parse

import hvac

ROLE, SECRET = secrets.token_hex(16), secrets.token_hex(16)
# May read everything; may read and not ask which engine it is.
TOKEN, NARROW = "hvs." + secrets.token_urlsafe(24), "hvs." + secrets.token_urlsafe(24)
given = set()
counts = collections.Counter()
lock = threading.Lock()

ENGINES = {"secret/": "2", "old/": "1", "team/kv/": "2"}
V2 = {
    "secret/": {
        "app": [{"DB_PASSWORD": "first"}, {"DB_PASSWORD": "second", "PORT": 5432, "TLS": True, "NOTHING": None}],
        "other/deep": [{"KEY": "a\n\"\u00e9"}],
        "deleted": [None],
    },
    "team/kv/": {"app": [{"TOKEN": "of the team"}]},
}
V1 = {"old/": {"app": {"DB_PASSWORD": "of version 1"}}}
SPACES = {"": (V2, V1), "ns1": ({"secret/": {"app": [{"DB_PASSWORD": "of a name space"}]}}, {})}


def envelope(data=None, **more):
    """An answer with the keys that each has."""
    return {
        "request_id": secrets.token_hex(16), "lease_id": "", "renewable": False, "lease_duration": 0, "data": data,
        "wrap_info": None, "warnings": None, "auth": None, **more,
    }


class Double(http.server.BaseHTTPRequestHandler):
    """Answers by the path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=None, **headers):
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def fail(self, status, *messages, **headers):
        self.answer(status, {"errors": list(messages)}, **headers)

    def handle_any(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        if path == "/control/revoke":
            given.clear()
            return self.answer(204)
        if path.startswith("/control/count/"):
            return self.answer(200, counts[path.removeprefix("/control/count/")])
        if not path.startswith("/v1/"):
            return self.fail(404)
        path = path.removeprefix("/v1/")
        with lock:
            counts[path] += 1
        if self.headers.get("X-Vault-Request") != "true":
            return self.fail(400, "required 'X-Vault-Request' header missing")
        if path == "auth/approle/login" and self.command in ("POST", "PUT"):
            return self.login()
        token = self.headers.get("X-Vault-Token")
        if token not in {TOKEN, NARROW} | given:
            return self.fail(403, "permission denied")
        space = (self.headers.get("X-Vault-Namespace") or "").strip("/")
        if space not in SPACES:
            return self.fail(403, "permission denied")
        if path.startswith("sys/internal/ui/mounts/"):
            return self.engine(path.removeprefix("sys/internal/ui/mounts/"), token)
        return self.read(path, *SPACES[space])

    do_GET = do_POST = do_PUT = handle_any

    def login(self):
        form = json.loads(self.body)
        if (form.get("role_id"), form.get("secret_id")) != (ROLE, SECRET):
            return self.fail(400, "invalid role or secret ID")
        token = "hvs." + secrets.token_urlsafe(24)
        given.add(token)
        return self.answer(200, envelope(auth={
            "client_token": token, "accessor": secrets.token_hex(8), "policies": ["default"],
            "token_policies": ["default"], "metadata": {}, "lease_duration": 3600, "renewable": True,
            "entity_id": secrets.token_hex(8), "token_type": "service", "orphan": True, "mfa_requirement": None,
            "num_uses": 0,
        }))

    def engine(self, path, token):
        mount = next((mount for mount in ENGINES if (path + "/").startswith(mount)), None)
        if token == NARROW or mount is None:
            return self.fail(403, "preflight capability check returned 403, please ensure client's policies grant access")
        return self.answer(200, envelope({"options": {"version": ENGINES[mount]}, "path": mount, "type": "kv"}))

    def read(self, path, second, first):
        for mount, maps in second.items():
            if path.startswith(mount + "data/"):
                return self.read_second(path.removeprefix(mount + "data/"), maps)
        for mount, maps in first.items():
            if path.startswith(mount) and path.removeprefix(mount) in maps:
                return self.answer(200, envelope(maps[path.removeprefix(mount)], lease_duration=2764800))
        return self.fail(404)

    def read_second(self, name, maps):
        failures = {"down": (500, "internal error"), "sealed": (503, "Vault is sealed"), "behind": (412, "required index state")}
        if name in failures:
            return self.fail(*failures[name])
        if name == "busy":
            return self.fail(429, "rate limit quota exceeded", Retry_After="9")
        versions = maps.get(name)
        number = int(self.query.get("version") or 0) or len(versions or [])
        if not versions or number > len(versions):
            return self.fail(404)
        data = versions[number - 1]
        facts = {
            "version": number, "created_time": "2026-01-01T00:00:00Z", "destroyed": False, "custom_metadata": None,
            "deletion_time": "" if data else "2026-01-02T00:00:00Z",
        }
        # What is deleted is not found, with a body that says more.
        return self.answer(200 if data else 404, envelope({"data": data, "metadata": facts}))


double = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
double.daemon_threads = True
threading.Thread(target=double.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{double.server_port}"

client = hvac.Client(url=address, token=TOKEN)
assert client.secrets.kv.v2.read_secret_version(path="app", raise_on_deleted_version=True)["data"]["data"]["PORT"] == 5432
assert client.secrets.kv.v1.read_secret(path="app", mount_point="old")["data"]["DB_PASSWORD"] == "of version 1"
assert client.auth.approle.login(ROLE, SECRET)["auth"]["client_token"] in given
counts.clear()

print(json.dumps({"address": address, "token": TOKEN, "narrow": NARROW, "role": ROLE, "secret": SECRET}), flush=True)
sys.stdin.read()
# Nobody else outlives the process of tests.
shutil.rmtree(sys.argv[1], ignore_errors=True)
os._exit(0)
