#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the store format, written from docs/file-format.md alone, for tests.

It reads manifests as credfs writes them (block style; plain, single-quoted and literal scalars), checks the signature, opens
every value, renders every template and prints them as JSON: names to Base64, or null for an empty value. It protects nothing: never use it on a real store.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# What means the same as being absent, by the key of a secret or of its policy.
DEFAULTS = {"required": "false", "newline": "exact", "mode": "0400", "hidden": "false", "decoy": "false"}


def scalar(text):
    if text == '""':
        return ""
    if text == "{}":
        return {}
    if text.startswith("'"):
        assert len(text) >= 2 and text.endswith("'"), "a quote that does not end"
        return text[1:-1].replace("''", "'")
    return text


def split_entry(text):
    """The key of a line and what follows its colon."""
    quoted = re.match(r"'((?:[^']|'')*)':(?: |$)", text)
    if quoted:
        return quoted.group(1).replace("''", "'"), text[quoted.end():]
    key, _, rest = text.partition(":")
    return key, rest[1:]


def parse(lines, depth):
    """The collection whose lines are indented by some spaces; takes its lines off the list."""
    node = None
    while lines and len(lines[0]) - len(lines[0].lstrip(" ")) == depth:
        line = lines.pop(0)[depth:]
        if line.startswith("- "):
            node = [] if node is None else node
            rest = line[2:]
            if re.match(r"(path|sha256): ", rest):
                lines.insert(0, " " * (depth + 2) + rest)
                node.append(parse(lines, depth + 2))
            else:
                node.append(scalar(rest))
        else:
            node = {} if node is None else node
            key, rest = split_entry(line)
            if rest in ("|", "|-"):
                node[key] = literal(lines, depth + 2) + ("\n" if rest == "|" else "")
            else:
                node[key] = scalar(rest) if rest else parse(lines, depth + 2)
    return node


def literal(lines, depth):
    """The lines of a literal block, without the newline at its end."""
    block = []
    while lines and (not lines[0] or lines[0].startswith(" " * depth)):
        block.append(lines.pop(0)[depth:].removeprefix("  "))
    return "\n".join(block)


def document(text):
    lines = [line for line in text.removesuffix("\n").split("\n") if not line.startswith("#")]
    node = parse(lines, 0)
    assert not lines, "lines that belong nowhere"
    return node


def canonical(node):
    """The canonical encoding: S, L or M, a length of 32 bits, big endian, and what it counts."""
    if isinstance(node, str):
        text = node.encode()
        return b"S" + len(text).to_bytes(4, "big") + text
    if isinstance(node, list):
        return b"L" + len(node).to_bytes(4, "big") + b"".join(map(canonical, node))
    pairs = sorted((key.encode(), key, value) for key, value in node.items())
    return b"M" + len(pairs).to_bytes(4, "big") + b"".join(canonical(key) + canonical(value) for _, key, value in pairs)


def without_defaults(secret):
    kept = {key: value for key, value in secret.items() if DEFAULTS.get(key) != value}
    if "policy" in kept:
        kept["policy"] = {key: value for key, value in kept["policy"].items() if DEFAULTS.get(key) != value}
    return kept


def signed_bytes(manifest):
    signed = {key: value for key, value in manifest.items() if key != "signature"}
    signed["secrets"] = {name: without_defaults(secret) for name, secret in signed["secrets"].items()}
    return canonical(signed)


def derived(key, store, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=store.encode(), info=info.encode()).derive(key)


# An expression and its parts, and a run of braces before it (docs/file-format.md, "Templates").
EXPRESSION = re.compile(rb'''(?s)(\{\{+)((?:[^"'{}]|"(?:\\.|[^"\\])*"|'(?:[^']|'')*')*)\}\}''')
PART = re.compile(rb'''(?s)\s*(?:(\|)|"((?:\\.|[^"\\])*)"|'((?:[^']|'')*)'|([^\s|{}"']+))''')
CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def quoted_json(content):
    escapes = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
    return ('"' + "".join(escapes.get(ord(c)) or (f"\\u{ord(c):04x}" if c < " " else c) for c in content.decode()) + '"').encode()


FILTERS = {
    b"base64": base64.b64encode,
    b"json": quoted_json,
    b"shell": lambda content: b"'" + content.replace(b"'", b"'\\''") + b"'",
    b"dotenv": lambda content: content if re.fullmatch(rb"[A-Za-z0-9_./+:@%,-]*", content) else b"'" + content + b"'",
    b"url": lambda content: urllib.parse.quote_from_bytes(content, safe="").encode(),
    b"pgpass": lambda content: re.sub(rb"([:\\*])", rb"\\\1", content),
    b"strip": lambda content: content.strip(b" \t\n\v\f\r"),
}


def rendered(template, values):
    """The content of a file; values that need double quotes in dotenv files are not known here."""

    def expression(found):
        braces = len(found.group(1))
        text = b"{{" * (braces // 4) + b"{" * (braces % 2)
        if braces % 4 < 2:
            return text + expressions(found.group(2) + b"}}")
        content, filters, names = b"", [], []
        for bar, literal_text, name, word in PART.findall(found.group(2).rstrip()):
            if bar:
                filters.append(None)
            elif filters:
                filters[-1] = word
            elif name or word:
                names.append((name or word).replace(b"''", b"'").replace(b"/", b".").decode())
                content += values[names[-1]] or b""
            else:
                content += re.sub(rb"(?s)\\(.)", lambda escape: CONTROLS.get(escape.group(1), escape.group(1)), literal_text)
        for name in filters:
            content = FILTERS[name](content)
        return text + content

    def expressions(text):
        return EXPRESSION.sub(expression, text)

    return expressions(template.encode())


def opened(sealed, key, binding):
    form = re.fullmatch(r"ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*)\]", sealed)
    assert form, "not a sealed value"
    data, nonce, tag = (base64.b64decode(part, validate=True) for part in form.groups())
    assert len(nonce) == 12 and len(tag) == 16, "a nonce or tag of another size"
    return AESGCM(key).decrypt(nonce, data + tag, canonical(binding))


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def hkdf(key, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def identities(text):
    """The private keys of an identity file: Bech32 of 32 bytes behind a prefix; the checksum is not looked at."""
    for line in text.split("\n"):
        if line.startswith("AGE-SECRET-KEY-1"):
            digits = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(character) for character in line[16:-6].lower()]
            bits = "".join(f"{digit:05b}" for digit in digits)
            yield X25519PrivateKey.from_private_bytes(int(bits[:256], 2).to_bytes(32, "big"))


def age_opened(file, keys):
    """The content of an age file of one X25519 recipient and one chunk, or None if it is for somebody else."""
    header, _, payload = file.partition(b"\n--- ")
    code, _, payload = payload.partition(b"\n")
    version, stanza, body = header.decode().split("\n")
    assert version == "age-encryption.org/v1" and stanza.startswith("-> X25519 "), "another kind of age file"
    share = unpadded(stanza.removeprefix("-> X25519 "))
    for key in keys:
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        wrapping = hkdf(key.exchange(X25519PublicKey.from_public_bytes(share)), share + public, b"age-encryption.org/v1/X25519")
        try:
            file_key = ChaCha20Poly1305(wrapping).decrypt(bytes(12), unpadded(body), None)
        except InvalidTag:
            continue
        expected = hmac.new(hkdf(file_key, b"", b"header"), header + b"\n---", "sha256").digest()
        assert hmac.compare_digest(unpadded(code.decode()), expected), "another header"
        return ChaCha20Poly1305(hkdf(file_key, payload[:16], b"payload")).decrypt(bytes(11) + b"\x01", payload[16:], None)
    return None


def data_key(manifest, key, password, age_keys):
    store = manifest["store"]
    for name, slot in sorted(manifest["slots"].items()):
        binding = ["credfs/1/slot", store, name, slot["type"]]
        if slot["type"] == "keyfile" and key is not None:
            secret = key
        elif slot["type"] == "password" and password is not None:
            assert slot["kdf"] == "pbkdf2-hmac-sha256", "another derivation"
            binding += [slot["kdf"], slot["iterations"], slot["salt"]]
            secret = hashlib.pbkdf2_hmac("sha256", password, bytes.fromhex(slot["salt"]), int(slot["iterations"]))
        elif slot["type"] == "age" and age_keys:
            binding += [slot["recipient"], slot["wrapped"]]
            secret = age_opened(base64.b64decode(slot["wrapped"], validate=True), age_keys)
            if secret is None:
                continue
            assert len(secret) == 32, "a key of another size"
        else:
            continue
        wrapping = derived(secret, store, f"credfs/1/slot/{slot['type']}/{name}")
        return opened(slot["sealed"], wrapping, binding)
    raise SystemExit("open_store: error: no slot fits")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("manifest")
    arguments.add_argument("--key-file")
    arguments.add_argument("--password-file")
    arguments.add_argument("--identity")
    arguments.add_argument("--canonical", action="store_true", help="print the signed bytes as hexadecimal digits instead")
    given = arguments.parse_args()
    key = password = age_keys = None
    if given.key_file:
        with open(given.key_file, encoding="ascii") as file:
            line = re.fullmatch(r"CREDFS-KEY-1:([A-Za-z0-9_-]{43})\n?", file.read())
        assert line, "not a key file"
        key = base64.urlsafe_b64decode(line.group(1) + "=")
    if given.password_file:
        with open(given.password_file, "rb") as file:
            password = file.read().removesuffix(b"\n")

    if given.identity:
        with open(given.identity, encoding="ascii") as file:
            age_keys = list(identities(file.read()))

    with open(given.manifest, encoding="utf-8") as file:
        manifest = document(file.read())
    signed = signed_bytes(manifest)
    if given.canonical:
        print(signed.hex())
        return
    store = manifest["store"]
    main_key = data_key(manifest, key, password, age_keys)
    signature = hmac.new(derived(main_key, store, "credfs/1/sign"), signed, "sha256").hexdigest()
    if not hmac.compare_digest(signature, manifest["signature"]):
        raise SystemExit("open_store: error: the signature does not match")
    sealing = derived(main_key, store, "credfs/1/seal")
    values = {}
    for name, secret in manifest["secrets"].items():
        values[name] = None
        if secret.get("value"):
            values[name] = opened(secret["value"], sealing, ["credfs/1/value", store, name])
    for name, secret in manifest["secrets"].items():
        if "template" in secret:
            values[name] = rendered(secret["template"], values)
    values = {name: value if value is None else base64.b64encode(value).decode() for name, value in values.items()}
    json.dump(values, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
