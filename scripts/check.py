# SPDX-License-Identifier: Apache-2.0
"""Gates about documents: `check.py links`, `check.py claims`, `check.py tables` and `check.py decisions`."""

import pathlib
import re
import subprocess
import sys

problems = []


def documents():
    """The Markdown files of the tree that exist."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        check=True, capture_output=True, text=True,
    ).stdout
    return [path for path in map(pathlib.Path, filter(None, listing.split("\0"))) if path.exists()]


def links():
    """Every link between files of the tree leads somewhere, and so does every heading it names."""
    fence = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)

    def anchors(path):
        """The anchors that forges make of the headings of a file."""
        headings = re.findall(r"^#+ +(.*?) *$", fence.sub("", path.read_text()), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    for source in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", fence.sub("", source.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = source.parent / file if file else source
            if not path.exists():
                problems.append(f"{source}: the link {target} leads nowhere")
            elif anchor and path.suffix == ".md" and anchor not in anchors(path):
                problems.append(f"{source}: the link {target} names no heading there")


def claims():
    """Every claim of the threat models names at least one test, and every test it names exists.

    `Test: Suite.function`, or `Test: scripts/NAME` for what only a script can show.
    """
    models = [pathlib.Path("docs") / name for name in ("threat-model.md", "threat-model-credentials.md")]
    model = "\n# \n".join(path.read_text() for path in models)
    tests = set()
    for source in pathlib.Path("Tests").rglob("*.swift"):
        suite = None
        is_test = False
        for line in source.read_text().splitlines():
            found = re.match(r"\s{0,4}(?:@Suite.*\s)?(?:final class|class|struct|enum|extension|actor) (\w+)", line)
            if found and (not line.startswith("    ") or suite is None):
                suite = found.group(1)
            is_test = is_test or re.match(r"\s*@Test\b", line) is not None
            found = re.match(r"\s*(?:@Test\b.*\s)?(?:(?:private|static)\s+)*func (\w+)", line)
            if found and is_test:
                tests.add(f"{suite}.{found.group(1)}")
                is_test = False

    found = re.split(r"^\*\*([A-Z]\d+[a-z]?)\*\*", model, flags=re.MULTILINE)
    for name, text in zip(found[1::2], found[2::2]):
        text = re.split(r"^#", text, flags=re.MULTILINE)[0]
        named = re.findall(r"Test: ((?:`[\w./-]+`,?\s*)+)", text)
        if not named and "Test: none yet" not in text:
            problems.append(f"{name} names no test")
        for test in re.findall(r"`([\w./-]+)`", " ".join(named)):
            if test not in tests and not (test.startswith("scripts/") and pathlib.Path(test).is_file()):
                problems.append(f"{name} names {test}, which does not exist")
    if len(found) < 3:
        problems.append("there are no claims")


def tables():
    """Every row of a table has the cells of its first row and an end; a table begins with a row of names and one of dashes."""
    for source in documents():
        rows, is_code = [], False
        for number, line in enumerate(source.read_text().splitlines() + [""], 1):
            is_code ^= line.startswith("```")
            if not is_code and line.startswith("|"):
                rows.append((number, re.split(r"(?<!\\)\|", line.strip())[1:-1], line.rstrip().endswith("|")))
                continue
            if rows and (len(rows) < 2 or not all(re.fullmatch(r" :?-+:? ", cell) for cell in rows[1][1])):
                problems.append(f"{source}:{rows[0][0]}: a table without its first two rows")
            for place, cells, is_whole in rows:
                if not is_whole or len(cells) != len(rows[0][1]):
                    problems.append(f"{source}:{place}: a row with other cells than the first of its table")
            rows = []


def decisions():
    """Every record is in the index once, under its own title's number, and what is replaced says so at both ends and in the index."""
    directory = pathlib.Path("docs/decisions")
    index = (directory / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[\d+\]\((\S+)\) \| (.*) \|$", index, re.MULTILINE))
    for record in sorted(directory.glob("0*.md")):
        text = record.read_text()
        number = record.name[:4]
        if index.count(f"({record.name})") != 1 or record.name not in rows:
            problems.append(f"{record}: not in the index, or twice")
        if not text.startswith(f"# {number}: "):
            problems.append(f"{record}: the title has another number")
        for name in re.findall(r"\]\((0\d+-\S+)\)", text.split("## Context")[0]):
            other = (directory / name).read_text().split("## Context")[0]
            if record.name not in other:
                problems.append(f"{record}: {name} does not name it")
        replaced = re.findall(r"\((\d+)-", text.split("## Context")[0]) if "\nReplaced " in text else []
        for other in replaced:
            if "replaced" not in rows.get(record.name, "") or other not in rows[record.name]:
                problems.append(f"{record}: the index does not say that {other} replaces it")


{"links": links, "claims": claims, "tables": tables, "decisions": decisions}[sys.argv[1]]()
for problem in problems:
    print(f"check: error: {problem}", file=sys.stderr)
sys.exit(bool(problems))
