#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the verification of an audit log, written from docs/file-format.md alone, for tests.

It prints a JSON document: whether the log is intact, its first and last entry, its head and what is wrong. The exit status is
0 for an intact log and 1 for another. The key that opens audit.root is either given (--audit-key, a file of 32 bytes) or
derived from the data key of a manifest (--manifest and --key-file). It protects nothing: never use it on a real store.
"""

import argparse
import base64
import hmac
import json
import pathlib
import re
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 4096
# The members of the second table of the page, which may be absent, beside those that every entry has.
TYPES = {
    "timestamp": str, "operation": str, "status": str, "secret": str, "service": str, "reason": str, "uid": int, "pid": int,
    "executable": str, "parent": str, "mount": str, "store": str, "repeat": dict, "first": int, "lost": int, "secrets": list,
    "slots": list, "authMode": str, "authReason": str, "exitStatus": int, "user": str, "startTime": int, "ancestors": list, "unit": str,
    "claimed": dict,
}
LATER = list(TYPES)[12:]
TAIL = re.compile(rb',"mac":"([0-9a-f]{64})"}')


def hkdf(key, info, length=64):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(key)


class Keys:
    """The keys at an entry."""

    def __init__(self, root):
        self.sequence = 1
        self.begin_block(root)

    def begin_block(self, block):
        pair = hkdf(block, b"credfs/1/audit/block")
        self.next_block, self.entry = pair[:32], pair[32:]

    def advance(self, target):
        while self.sequence < target:
            end = (self.sequence - 1) // BLOCK * BLOCK + BLOCK
            if end < target:
                self.begin_block(self.next_block)
                self.sequence = end + 1
            else:
                self.entry = hkdf(self.entry, b"credfs/1/audit/entry")[:32]
                self.sequence += 1

    def code(self, body):
        return hmac.digest(hkdf(self.entry, b"credfs/1/audit/entry")[32:], body, "sha256")

    def copy(self):
        other = object.__new__(Keys)
        other.__dict__.update(self.__dict__)
        return other


def open_root(content, key, store):
    if not content or len(content) % 64 or len(content) > 128:
        return None
    for start in range(0, len(content), 64):
        record = content[start:start + 64]
        if record[:4] == b"CAR1":
            try:
                return AESGCM(key).decrypt(record[4:16], record[16:], b"credfs/1/audit/root/" + store.encode())
            except InvalidTag:
                continue
    return None


def parse(line):
    """Sequence, previous code, code, covered bytes and members of a line, or None."""
    tail = TAIL.fullmatch(line[-74:])
    if not tail or len(line) >= 65536:
        return None
    try:
        members = json.loads(line.decode())
        for name, value in members.items():
            if not isinstance(value, TYPES.get(name, object)) and (value is not None or name in LATER):
                return None
        return members["sequence"], bytes.fromhex(members["previous"]), bytes.fromhex(tail[1].decode()), line[:-74], members
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class Log:
    def __init__(self, directory, root):
        self.problems = []
        record = (directory / "audit.key").read_bytes()
        assert len(record) == 256 and record[:16] == b"CREDFS-AUDIT-1\n\0", "not the key of an audit log"
        (self.next,) = struct.unpack(">Q", record[16:24])
        self.stored_keys = (record[112:144], record[144:176])
        self.last_code = record[176:208]
        self.keys = Keys(root)
        self.oldest = 1
        self.present = {}
        self.previous = None
        old = {path: re.fullmatch(r"audit\.log\.([1-9][0-9]*)", path.name) for path in directory.iterdir()}
        names = sorted((int(match[1]), path) for path, match in old.items() if match)
        self.files = [path for _, path in names] + [path for path in [directory / "audit.log"] if path.exists()]

    def examine(self, place, line):
        parsed = parse(line)
        if parsed is None:
            return self.problems.append(f"{place}: not an entry")
        sequence, previous, code, body, members = parsed
        if self.present and sequence < self.keys.sequence:
            return self.problems.append(f"{place}: entry {sequence} is out of order")
        if sequence > max(self.next - 1, self.keys.sequence):
            return self.problems.append(f"{place}: entry {sequence} was never written")
        keys = self.keys.copy()
        keys.advance(sequence)
        if not hmac.compare_digest(keys.code(body), code):
            return self.problems.append(f"{place}: entry {sequence} does not authenticate")
        if sequence - 1 in self.present and self.present[sequence - 1] != previous:
            self.problems.append(f"{place}: entry {sequence} does not follow the one before it")
        self.present[sequence] = code
        if members["operation"] == "audit-log" and "first" in members:
            self.oldest = members["first"]
        if sequence + 1 >= self.next >= self.keys.sequence:
            self.check_key()
        self.keys.advance(sequence + 1)

    def check_key(self):
        keys = self.keys.copy()
        keys.advance(self.next)
        if (keys.next_block, keys.entry) != self.stored_keys:
            self.problems.append("audit.key does not belong to this log")

    def verify(self, head):
        for path in self.files:
            lines = path.read_bytes().split(b"\n")
            if lines.pop():
                self.problems.append(f"{path.name}: ends in the middle of a line, which the next entry replaces")
            for number, line in enumerate(lines, 1):
                self.examine(f"{path.name} line {number}", line)
        if self.keys.sequence < self.next:
            self.check_key()
        if self.next > 1:
            missing = [n for n in range(min([self.oldest, *self.present]), self.next) if n >= self.oldest and n not in self.present]
            self.problems += [f"entry {n} is missing" for n in missing]
        if self.next - 1 in self.present and self.present[self.next - 1] != self.last_code:
            self.problems.append("audit.key is not that of the last entry")
        if head:
            sequence, _, code = head.partition(":")
            if self.present.get(int(sequence)) != bytes.fromhex(code):
                self.problems.append("the entry of the head is not there")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("directory", type=pathlib.Path)
    arguments.add_argument("--store")
    arguments.add_argument("--audit-key", type=pathlib.Path)
    arguments.add_argument("--manifest", type=pathlib.Path)
    arguments.add_argument("--key-file", type=pathlib.Path)
    arguments.add_argument("--head")
    given = arguments.parse_args()
    if given.manifest:
        import open_store

        manifest = open_store.document(given.manifest.read_text(encoding="utf-8"))
        store = manifest["store"]
        line = re.fullmatch(r"CREDFS-KEY-1:([A-Za-z0-9_-]{43})\n?", given.key_file.read_text(encoding="ascii"))
        data_key = open_store.data_key(manifest, base64.urlsafe_b64decode(line.group(1) + "="), None, None)
        key = open_store.derived(data_key, store, "credfs/1/audit")
    else:
        store, key = given.store, given.audit_key.read_bytes()

    problems, log = [], None
    root = open_root((given.directory / "audit.root").read_bytes(), key, store)
    if root is None:
        problems.append("audit.root does not open")
    else:
        log = Log(given.directory, root)
        log.verify(given.head)
        problems = log.problems
    entries = log.present if log else {}
    head = f"{log.next - 1}:{log.last_code.hex()}" if log and log.next > 1 else None
    document = {
        "intact": not problems, "first": min(entries, default=None), "last": max(entries, default=None), "head": head,
        "pending": max(0, log.keys.sequence - log.next) if entries else 0, "problems": problems,
    }
    json.dump(document, sys.stdout, indent=2, sort_keys=True)
    print()
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
