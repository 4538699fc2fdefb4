# SPDX-License-Identifier: Apache-2.0
"""A double of Google's token endpoint, service of metadata and Secret Manager on this machine, for tests.

It answers as the documentation of Google says, and checks what drongo, a server of others beside it, does not: signatures and
claims of assertions, tokens, headers. Prints one line of JSON with its addresses and keys, and ends when standard input does.
`POST /control/revoke/EMAIL` ends the tokens of an account, `GET /control/count/EMAIL` says how many it was given.
"""

import base64
import collections
import http.server
import json
import os
import secrets
import shutil
import sys
import threading
import time
import urllib.parse
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from drongo.server import create_server

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EMAILS = {name: f"{name}@app.iam.gserviceaccount.com" for name in ("reader", "counted", "brief", "nobody")}
STATIC = "ya29." + secrets.token_urlsafe(30)
# The account of each token.
given = {STATIC: "static"}
counts = collections.Counter()

SECRETS = {
    "DB_PASSWORD": [b"first", b"second"], "BLOB": [bytes(range(256))], "EMPTY": [b""],
    "DB": [b'{"user": "u1", "port": 5432, "list": []}'], "billing-A": [b"of a"], "billing-B": [b"of b"],
    "DISABLED": [None],
}
ELSEWHERE = {"BROKEN": 500, "DOWN": 503, "BUSY": 429, "MOVED": 302}
# What no server of Google answers.
HOSTILE = {
    "LIST": b"[]", "NULL": b"null", "TEXT": b"<html>", "CUT": b'{"payload":{"data":"QQ==', "NUMBER": b'{"payload":{"data":5}}',
    "BASE64": b'{"payload":{"data":"Q!=="}}', "TWICE": b'{"payload":{"data":"QQ=="},"payload":{"data":"Qg=="}}',
    "DEEP": b'{"payload":' * 2000, "BYTES": b'{"payload":{"data":"\xff\xfe"}}', "LARGE": b'{"payload":{"data":"' + b"A" * (1 << 21),
    "NONE": b"{}",
}


def checksum(data):
    """CRC-32C, bit by bit."""
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Double(http.server.BaseHTTPRequestHandler):
    """Answers by the path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def fail(self, status, word, **headers):
        self.answer(status, {"error": {"code": status, "message": "a sentence with content", "status": word}}, **headers)

    def give(self, account, **headers):
        token = "ya29.c." + secrets.token_urlsafe(60) + "..."
        given[token] = account
        counts[account] += 1
        # An hour, but for one that has ended before it comes.
        lifetime = 0 if account == EMAILS["brief"] else 3599
        self.answer(200, {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"}, **headers)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/control/revoke/"):
            account = path.removeprefix("/control/revoke/")
            for token in [token for token, owner in given.items() if owner == account]:
                del given[token]
            return self.answer(204)
        if path == "/busy/token":
            return self.answer(429, {"error": "rate_limit"}, Retry_After="7")
        if path != "/token":
            return self.fail(404, "NOT_FOUND")
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.answer(400, {"error": "unsupported_grant_type"})
        message, _, signature = form["assertion"].rpartition(".")
        header, claims = (json.loads(decoded(part)) for part in message.split("."))
        try:
            KEY.public_key().verify(decoded(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256())
            assert header == {"alg": "RS256", "typ": "JWT", "kid": "the-key"}
            assert claims["aud"] == address + "/token" and abs(claims["iat"] - time.time()) < 300
            assert claims["exp"] - claims["iat"] == 3600
            assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            assert claims["iss"] in EMAILS.values() and claims["iss"] != EMAILS["nobody"]
        except (InvalidSignature, AssertionError):
            return self.answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        return self.give(claims["iss"])

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if path.startswith("/control/count/"):
            return self.answer(200, counts[path.removeprefix("/control/count/")])
        if path == "/computeMetadata/v1/instance/service-accounts/default/token":
            if self.headers.get("Metadata-Flavor") != "Google":
                return self.answer(403)
            return self.give("instance", Metadata_Flavor="Google")
        kind, _, token = (self.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or token not in given:
            return self.fail(401, "UNAUTHENTICATED")
        parts = path.split("/")
        if len(parts) > 6 and parts[4] == "locations":
            # A region has secrets of its own.
            name = parts[7].removesuffix(":access") if len(parts) > 7 else ""
            data = base64.b64encode(b"of the region").decode()
            return self.answer(200, {"payload": {"data": data}}) if name == "DB_PASSWORD" else self.fail(404, "NOT_FOUND")
        project, name = parts[3], parts[5] if len(parts) > 5 else None
        if project == "foreign":
            return self.fail(403, "PERMISSION_DENIED")
        if name is None:
            return self.list(project, query)
        if name in ELSEWHERE:
            return self.fail(ELSEWHERE[name], "a sentence", Retry_After="9", Location=f"{address}/v1/projects/app/secrets")
        if project == "hostile":
            return self.answer(200, HOSTILE[name])
        return self.access(name, parts[7])

    def list(self, project, query):
        if project == "endless":
            return self.answer(200, {"secrets": [], "nextPageToken": "again"})
        # Fewer than asked for, as a server may.
        start, names = int(query.get("pageToken") or 0), sorted(SECRETS)
        assert 0 < int(query["pageSize"]) <= 25000
        body = {"secrets": [{"name": f"projects/123/secrets/{name}"} for name in names[start:start + 3]], "totalSize": len(names)}
        if start + 3 < len(names):
            body["nextPageToken"] = str(start + 3)
        return self.answer(200, body)

    def access(self, name, last):
        version = last.removesuffix(":access")
        versions = SECRETS.get("DB_PASSWORD" if name == "DAMAGED" else name)
        if not last.endswith(":access") or not versions:
            return self.fail(404, "NOT_FOUND")
        number = len(versions) if version == "latest" else int(version)
        if number > len(versions):
            return self.fail(404, "NOT_FOUND")
        data = versions[number - 1]
        if data is None:
            return self.fail(400, "FAILED_PRECONDITION")
        payload = {"dataCrc32c": str(checksum(data) ^ (name == "DAMAGED"))}
        # An empty value is left out, as by every message of theirs.
        if data:
            payload["data"] = base64.b64encode(data).decode()
        return self.answer(200, {"name": f"projects/123/secrets/{name}/versions/{number}", "payload": payload})


def fill(origin):
    """Makes secrets in the server of others."""

    def post(path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{origin}/v1/projects/app/{path}", data, {"Content-Type": "application/json"})
        return urllib.request.urlopen(request).read()

    for name, values in {"ONE": [b"of drongo"], "TWO": [b"old", b"new"], "OFF": [b"disabled"]}.items():
        post(f"secrets?secretId={name}", {"replication": {"automatic": {}}})
        for value in values:
            post(f"secrets/{name}:addVersion", {"payload": {"data": base64.b64encode(value).decode()}})
    post("secrets/OFF/versions/1:disable", {})


def account(name, endpoint="/token"):
    """The file of a service account, as the console gives it."""
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps({
        "type": "service_account", "project_id": "app", "private_key_id": "the-key", "private_key": pem,
        "client_email": EMAILS[name], "client_id": "1", "token_uri": address + endpoint,
    })


def serve(server):
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


address = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double))
drongo = serve(create_server("127.0.0.1", 0))
fill(drongo)
accounts = {name: account(name) for name in EMAILS} | {"busy": account("reader", "/busy/token")}
print(json.dumps({"address": address, "drongo": drongo, "token": STATIC, "accounts": accounts, "emails": EMAILS}), flush=True)
sys.stdin.read()
# Nobody else outlives the process of tests.
shutil.rmtree(sys.argv[1], ignore_errors=True)
os._exit(0)
