# SPDX-License-Identifier: Apache-2.0
"""A double of Entra ID, the service of metadata and Key Vault on this machine, for tests.

It answers as the documentation of Azure says, and checks forms, tokens and what they are for. Prints one line of JSON with its
address and what lets somebody in, and ends when standard input does. `POST /control/revoke/NAME` ends the tokens of an
application, `GET /control/count/NAME` says how many it was given.
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

TENANT, SECRET, FEDERATED = "the-tenant", "s~" + secrets.token_urlsafe(20) + "+&=", "eyJ." + secrets.token_urlsafe(40)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RESOURCE = "https://vault.azure.net"
# The application of each token.
given = {}
counts = collections.Counter()

# Versions of each secret, the last one first.
SECRETS = {
    "DB-PASSWORD": {"v2": "second", "v1": "first"}, "DB": {"v1": '{"user": "u1", "port": 5432}'},
    "TEXT": {"v1": 'a\n"\u00e9'}, "billing-A": {"v1": "of a"}, "billing-B": {"v1": "of b"}, "EMPTY": {"v1": ""},
}
FAILURES = {
    "OFF": (403, "Forbidden", "SecretDisabled"), "FORBIDDEN": (403, "Forbidden", "ForbiddenByRbac"),
    "WALL": (403, "Forbidden", "ForbiddenByFirewall"), "BUSY": (429, "Throttled", None), "DOWN": (503, "ServiceUnavailable", None),
    "BROKEN": (500, "a sentence with content", None), "MOVED": (302, "Moved", None),
}
# What no Key Vault answers.
HOSTILE = {
    "LIST": b"[]", "NULL": b"null", "HTML": b"<html>", "CUT": b'{"value":"a', "NONE": b"{}", "OBJECT": b'{"value":{"a":1}}',
    "TWICE": b'{"value":"a","value":"b"}', "DEEP": b'{"value":' * 2000, "BYTES": b'{"value":"\xff\xfe"}',
    "LARGE": b'{"value":"' + b"A" * (1 << 21),
}


class Double(http.server.BaseHTTPRequestHandler):
    """Answers by the path; what comes first in it is the vault."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def give(self, application, **more):
        token = "eyJ0eXAi." + secrets.token_urlsafe(60)
        given[token] = application
        counts[application] += 1
        self.answer(200, {"token_type": "Bearer", "access_token": token, "expires_in": 3599, **more})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/control/revoke/"):
            application = path.removeprefix("/control/revoke/")
            for token in [token for token, owner in given.items() if owner == application]:
                del given[token]
            return self.answer(204)
        if path == "/busy/oauth2/v2.0/token":
            return self.answer(429, {"error": "temporarily_unavailable"}, Retry_After="7")
        if path != f"/{TENANT}/oauth2/v2.0/token":
            return self.answer(400, {"error": "invalid_request", "error_description": "AADSTS90002: Tenant not found."})
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        assert form["grant_type"] == "client_credentials" and form["scope"] == RESOURCE + "/.default"
        if form.get("client_secret") == SECRET and form["client_id"].startswith("app"):
            return self.give(form["client_id"], ext_expires_in=3599)
        if form.get("client_assertion") == FEDERATED and form["client_assertion_type"] == ASSERTION:
            return self.give(form["client_id"], ext_expires_in=3599)
        return self.answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if path.startswith("/control/count/"):
            return self.answer(200, counts[path.removeprefix("/control/count/")])
        if path == "/metadata/identity/oauth2/token":
            return self.identity(query)
        kind, _, token = (self.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or token not in given:
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{RESOURCE}"'
            return self.fail(401, "Unauthorized", None, WWW_Authenticate=challenge)
        if query.get("api-version") != "7.4":
            return self.fail(400, "BadParameter", None)
        vault, _, rest = path.removeprefix("/").partition("/")
        parts = rest.split("/")
        if len(parts) == 1:
            return self.list(vault, query)
        name, version = parts[1], parts[2] if len(parts) > 2 else None
        if name in FAILURES:
            return self.fail(*FAILURES[name], Retry_After="9", Location=f"{address}/app/secrets/DB?api-version=7.4")
        if vault == "hostile":
            return self.answer(200, HOSTILE[name])
        versions = SECRETS.get(name) or {}
        version = version or next(iter(versions), None)
        if version not in versions:
            return self.fail(404, "SecretNotFound", None)
        return self.answer(200, {
            "value": versions[version], "id": f"{address}/{vault}/secrets/{name}/{version}",
            "attributes": {"enabled": True, "created": 1, "updated": 1, "recoveryLevel": "Recoverable+Purgeable"}, "tags": {},
        })

    def identity(self, query):
        if self.headers.get("Metadata") != "true" or query != {
            "api-version": "2018-02-01", "resource": RESOURCE, **({"client_id": "mi"} if "client_id" in query else {}),
        }:
            return self.answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        # Its numbers are texts.
        return self.give("instance", expires_in="86399", expires_on="4102444800", resource=RESOURCE)

    def fail(self, status, code, inner, **headers):
        error = {"code": code, "message": "a sentence with content"}
        if inner:
            error["innererror"] = {"code": inner}
        self.answer(status, {"error": error}, **headers)

    def list(self, vault, query):
        links = {
            "foreign": "https://192.0.2.1/foreign/secrets?api-version=7.4&$skiptoken=x",
            "port": f"http://127.0.0.1:1/port/secrets?api-version=7.4", "aside": f"{address}/app/secrets?api-version=7.4",
            "endless": f"{address}/endless/secrets?api-version=7.4&$skiptoken=same",
            "user": f"http://127.0.0.1@192.0.2.1/user/secrets?api-version=7.4", "spaces": f"{address}/spaces/secrets?a b",
        }
        if vault in links:
            return self.answer(200, {"value": [], "nextLink": links[vault]})
        items = [(name, {}) for name in sorted(SECRETS)] + [("CERTIFICATE", {"managed": True}), ("OFF", {})]
        start = int(query.get("$skiptoken") or 0)
        body = {"value": [{
            "id": f"{address}/{vault}/secrets/{name}", "attributes": {"enabled": name != "OFF", "created": 1}, **more,
        } for name, more in items[start:start + 3]], "nextLink": None}
        if start + 3 < len(items):
            body["nextLink"] = f"{address}/{vault}/secrets?api-version=7.4&$skiptoken={start + 3}&maxresults={query['maxresults']}"
        return self.answer(200, body)


double = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
double.daemon_threads = True
threading.Thread(target=double.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{double.server_port}"

print(json.dumps({"address": address, "tenant": TENANT, "secret": SECRET, "federated": FEDERATED}), flush=True)
sys.stdin.read()
# Nobody else outlives the process of tests.
shutil.rmtree(sys.argv[1], ignore_errors=True)
os._exit(0)
