#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unpacks Tests/Vectors/age/cctv.tar.xz for tests: NAME.json holds the header of a vector, NAME.age its file."""

import json
import pathlib
import sys
import tarfile
import zlib

archive, target = sys.argv[1], pathlib.Path(sys.argv[2])
with tarfile.open(archive) as vectors:
    for member in vectors.getmembers():
        if not member.isfile():
            continue
        header, _, file = vectors.extractfile(member).read().partition(b"\n\n")
        fields = {}
        for line in header.decode().split("\n"):
            key, _, value = line.partition(": ")
            fields.setdefault(key, []).append(value)
        if fields.pop("compressed", None) == ["zlib"]:
            file = zlib.decompress(file)
        name = pathlib.PurePath(member.name).name
        (target / f"{name}.json").write_text(json.dumps(fields))
        (target / f"{name}.age").write_bytes(file)
