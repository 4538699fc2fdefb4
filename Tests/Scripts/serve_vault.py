# SPDX-License-Identifier: Apache-2.0
"""A double of Vault on this machine, for tests: the KV engine in both versions, tokens with an end, logins by AppRole,
JWT and Kubernetes, wrapping and name spaces.

It answers as the API documentation of Vault says, and hvac, a client of others, reads from it before any test does. Prints one
line of JSON with its address and what lets somebody in, and ends when standard input does. `POST /control/revoke` ends every token
that a login gave; `GET /control/count/PATH` says how many requests there were for a path; `POST /control/wrap/WHAT` wraps a token, a
secret id or something else, and says by which token it is opened.
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
# Signed by whom both kinds of login believe: there is one more for each, and none is looked into.
SIGNED = secrets.token_urlsafe(48)
# Tokens that were given, with the seconds that each has and whether there are more; roles by what their tokens get.
given = {}
GRANTS = {
    "pod": (3600, True), "batch": (600, False), "capped": (3600, True), "unsteady": (3600, True), "endless": (2**63 - 1, True),
    "shown": (3600, True),
}
# What is wrapped, by the token that opens it: the path whose answer it is, and the answer.
wrapped = {}
counts = collections.Counter()
lock = threading.Lock()

ENGINES = {"secret/": "2", "old/": "1", "team/kv/": "2"}
V2 = {
    "secret/": {
        "app": [{"DB_PASSWORD": "first"}, {"DB_PASSWORD": "second", "PORT": 5432, "TLS": True, "NOTHING": None}],
        "other/deep": [{"KEY": "a\n\"\u00e9"}],
        "deleted": [None],
        "empty": [{}],
        "odd": [{"we/ird": "odd", "PLAIN": "plain", "": "no key", "a:b": "colon"}],
    },
    "team/kv/": {"app": [{"TOKEN": "of the team"}]},
}
V1 = {"old/": {"app": {"DB_PASSWORD": "of version 1"}, "list": ["no map"], "text": "no map"}}
SPACES = {"": (V2, V1), "ns1": ({"secret/": {"app": [{"DB_PASSWORD": "of a name space"}]}}, {})}


def envelope(data=None, **more):
    """An answer with the keys that each has."""
    return {
        "request_id": secrets.token_hex(16), "lease_id": "", "renewable": False, "lease_duration": 0, "data": data,
        "wrap_info": None, "warnings": None, "auth": None, **more,
    }


def wrap(path, answer, seconds=60):
    """Keeps an answer until its token is shown, and answers where it is."""
    token = "hvs." + secrets.token_urlsafe(48)
    wrapped[token] = (path, answer)
    return envelope(wrap_info={
        "token": token, "accessor": secrets.token_hex(8), "ttl": seconds, "creation_time": "2026-01-01T00:00:00Z",
        "creation_path": path,
    })


def grant(seconds, renewable, token=None):
    """The part of an answer that gives a token, or more time to one."""
    token = token or "hvs." + secrets.token_urlsafe(24)
    given[token] = (seconds, renewable)
    return {
        "client_token": token, "accessor": secrets.token_hex(8), "policies": ["default"], "token_policies": ["default"],
        "metadata": {}, "lease_duration": seconds, "renewable": renewable, "entity_id": secrets.token_hex(8),
        "token_type": "service", "orphan": True, "mfa_requirement": None, "num_uses": 0,
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
        if path.startswith("/control/wrap/"):
            return self.answer(200, {
                "token": lambda: wrap("auth/token/create", envelope(auth=grant(3600, True))),
                "secret": lambda: wrap("auth/approle/role/app/secret-id", envelope({"secret_id": SECRET})),
                "other": lambda: wrap("sys/wrapping/wrap", envelope({"secret_id": SECRET})),
            }[path.removeprefix("/control/wrap/")]()["wrap_info"]["token"])
        if path.startswith("/control/count/"):
            return self.answer(200, counts[path.removeprefix("/control/count/")])
        if not path.startswith("/v1/"):
            return self.fail(404)
        path = path.removeprefix("/v1/")
        with lock:
            counts[path] += 1
        if self.headers.get("X-Vault-Request") != "true":
            return self.fail(400, "required 'X-Vault-Request' header missing")
        form = json.loads(self.body or "{}") if self.command in ("POST", "PUT") else None
        if form is not None and path == "auth/approle/login":
            return self.login(form)
        if form is not None and path in ("auth/jwt/login", "auth/ci/jwt/login", "auth/kubernetes/login"):
            return self.login_signed(form, 403 if "kubernetes" in path else 400)
        token = self.headers.get("X-Vault-Token")
        if form is not None and path.startswith("sys/wrapping/"):
            return self.unwrap(path.removeprefix("sys/wrapping/"), form, token)
        if token not in {TOKEN, NARROW} | given.keys():
            return self.fail(403, "permission denied")
        if path.startswith("auth/token/") or path.startswith("auth/approle/role/"):
            return self.tokens(path, form, token)
        space = (self.headers.get("X-Vault-Namespace") or "").strip("/")
        if space not in SPACES:
            return self.fail(403, "permission denied")
        if path.startswith("sys/internal/ui/mounts/"):
            return self.engine(path.removeprefix("sys/internal/ui/mounts/"), token)
        return self.read(path, *SPACES[space])

    do_GET = do_POST = do_PUT = handle_any

    def login(self, form):
        if (form.get("role_id"), form.get("secret_id")) != (ROLE, SECRET):
            return self.fail(400, "invalid role or secret ID")
        return self.answer(200, envelope(auth=grant(3600, True)))

    def login_signed(self, form, refusal):
        if form.get("jwt") != SIGNED or form.get("role", "pod") not in GRANTS:
            return self.fail(refusal, "error validating token")
        auth = grant(*GRANTS[form.get("role", "pod")])
        auth["metadata"]["role"] = form.get("role", "pod")
        given[auth["client_token"]] += (form.get("role"),)
        if form.get("role") == "shown":
            auth["client_token"] = "hvs.a\r\nX-Other: b"
        return self.answer(200, envelope(auth=auth))

    def tokens(self, path, form, token):
        """What a token may do with itself, and the making of others."""
        seconds, renewable, *role = given.get(token, (0, False))
        if path == "auth/token/lookup-self" and form is None:
            return self.answer(200, envelope({"id": token, "ttl": seconds, "renewable": renewable, "num_uses": 0}))
        if path == "auth/token/renew-self" and form is not None:
            if role == ["unsteady"]:
                return self.fail(500, "internal error")
            if not renewable:
                return self.fail(400, "lease is not renewable")
            # Near the end of what one token gets, there is less.
            auth = grant(60 if role == ["capped"] else seconds, True, token)
            given[token] += tuple(role)
            return self.answer(200, envelope(auth=auth))
        answers = {
            "auth/token/create": lambda: envelope(auth=grant(3600, True)),
            "auth/approle/role/app/secret-id": lambda: envelope({"secret_id": SECRET, "secret_id_ttl": 0}),
        }
        if token != TOKEN or path not in answers:
            return self.fail(403, "permission denied")
        time = self.headers.get("X-Vault-Wrap-TTL")
        return self.answer(200, wrap(path, answers[path]()) if time else answers[path]())

    def unwrap(self, action, form, token):
        shown = form.get("token") or token
        if shown not in wrapped:
            return self.fail(400, "wrapping token is not valid or does not exist")
        path, answer = wrapped[shown]
        if action == "lookup":
            return self.answer(200, envelope({
                "creation_path": path, "creation_time": "2026-01-01T00:00:00Z", "creation_ttl": 60,
            }))
        del wrapped[shown]
        # A token in both places is spent by the first, and the second finds nothing.
        if form.get("token") and form.get("token") == token:
            return self.fail(400, "wrapping token is not valid or does not exist")
        return self.answer(200, answer)

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
        failures = {"forbidden": (403, "permission denied"), "down": (500, "internal error"), "sealed": (503, "Vault is sealed"), "behind": (412, "required index state")}
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
            "deletion_time": "" if data is not None else "2026-01-02T00:00:00Z",
        }
        # What is deleted is not found, with a body that says more.
        return self.answer(200 if data is not None else 404, envelope({"data": data, "metadata": facts}))


double = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
double.daemon_threads = True
threading.Thread(target=double.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{double.server_port}"

client = hvac.Client(url=address, token=TOKEN)
assert client.secrets.kv.v2.read_secret_version(path="app", raise_on_deleted_version=True)["data"]["data"]["PORT"] == 5432
assert client.secrets.kv.v1.read_secret(path="app", mount_point="old")["data"]["DB_PASSWORD"] == "of version 1"
assert client.auth.approle.login(ROLE, SECRET, use_token=False)["auth"]["client_token"] in given
assert client.auth.kubernetes.login("pod", SIGNED, use_token=False)["auth"]["metadata"]["role"] == "pod"
pod = hvac.Client(url=address)
pod.auth.jwt.jwt_login("pod", SIGNED, path="ci/jwt")
assert pod.auth.token.lookup_self()["data"]["ttl"] == pod.auth.token.renew_self()["auth"]["lease_duration"] == 3600
once = client.auth.approle.generate_secret_id("app", wrap_ttl="60s")["wrap_info"]
assert once["creation_path"] == "auth/approle/role/app/secret-id"
assert hvac.Client(url=address, token=once["token"]).sys.unwrap()["data"]["secret_id"] == SECRET
try:
    hvac.Client(url=address, token=once["token"]).sys.unwrap()
    raise AssertionError("it was opened twice")
except hvac.exceptions.InvalidRequest:
    pass
once = client.auth.token.create(wrap_ttl="60s")["wrap_info"]["token"]
assert client.sys.unwrap(token=once)["auth"]["client_token"] in given
counts.clear()

print(json.dumps({"address": address, "token": TOKEN, "narrow": NARROW, "role": ROLE, "secret": SECRET, "signed": SIGNED}), flush=True)
sys.stdin.read()
# Nobody else outlives the process of tests.
shutil.rmtree(sys.argv[1], ignore_errors=True)
os._exit(0)
