# SPDX-License-Identifier: Apache-2.0
"""Compares an lcov report with the list of lines that need not be covered."""

import collections
import pathlib
import sys


def exceptions(path):
    """File and content of each line that may stay uncovered; every one has its reason."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(" :: ")]
        if len(fields) != 3 or not all(fields):
            sys.exit(f"coverage: error: {path}:{number}: want 'file :: line :: reason'")
        yield fields[0], fields[1]


def main(report, allowed_path):
    root = pathlib.Path.cwd()
    counts = collections.defaultdict(dict)
    file = None
    for line in report.read_text().splitlines():
        kind, _, value = line.partition(":")
        if kind == "SF":
            file = pathlib.Path(value).relative_to(root).as_posix()
        elif kind == "DA":
            number, count = (int(part) for part in value.split(",")[:2])
            counts[file][number] = max(count, counts[file].get(number, 0))

    unused = set(exceptions(allowed_path))
    allowed = frozenset(unused)
    failed = False
    total = covered = excused = 0
    for file in sorted(counts):
        lines = pathlib.Path(file).read_text().splitlines()
        for number, count in sorted(counts[file].items()):
            total += 1
            content = lines[number - 1].strip()
            if count > 0:
                covered += 1
            elif (file, content) in allowed:
                excused += 1
                unused.discard((file, content))
            else:
                print(f"coverage: error: {file}:{number}: never run: {content}", file=sys.stderr)
                failed = True
    for module in ("SecretStore", "Sealing"):
        if not any(file.startswith(f"Sources/{module}/") for file in counts):
            sys.exit(f"coverage: error: the report has no file of {module}")
    for file, content in sorted(unused):
        print(f"coverage: error: {allowed_path}: no uncovered line like this in {file}: {content}", file=sys.stderr)
        failed = True
    print(f"coverage: {covered} of {total} lines of SecretStore and Sealing, {excused} excused with a reason")
    return failed


sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
