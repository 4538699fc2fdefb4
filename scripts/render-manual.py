# SPDX-License-Identifier: Apache-2.0
"""Renders what a program says with --experimental-dump-help as man pages, one for each command.

The plugin of argument-parser that does the same takes half a minute to build and gives no exit codes.
"""

import json
import pathlib
import re
import sys

# Sections that nearly every command has come last.
COMMON = ["Key or password", "Store and messages"]


def text(content):
    """Prose, safe for troff: no line may begin as a request, no backslash or dash be taken for markup."""
    lines = []
    for paragraph in (content or "").split("\n\n"):
        if lines:
            lines.append(".PP")
        for line in paragraph.split("\n"):
            line = line.strip().replace("\\", "\\e").replace("-", "\\-")
            lines.append("\\&" + line if line[:1] in (".", "'") else line)
    return "\n".join(line for line in lines if line)


def bold(content):
    return "\\fB" + text(content) + "\\fR"


def italic(content):
    return "\\fI" + text(content) + "\\fR"


def spelling(name):
    return {"long": "--", "short": "-", "longWithSingleDash": "-"}[name["kind"]] + name["name"]


def shown(items):
    return [item for item in items or [] if item.get("shouldDisplay", True)]


def synopsis(argument):
    """An argument as the command line has it."""
    value = italic(argument["valueName"])
    if argument["kind"] == "positional":
        form = value
    else:
        form = bold(spelling(argument["preferredName"]))
        if argument["kind"] == "option":
            form += " " + value
    if argument["isRepeating"]:
        form += "..."
    return f"[{form}]" if argument["isOptional"] else form


def description(argument):
    """The entry of an argument in its section."""
    if argument["kind"] == "positional":
        term = italic(argument["valueName"])
    else:
        names = sorted(map(spelling, argument["names"]), key=len)
        term = ", ".join(map(bold, names))
        if argument["kind"] == "option":
            term += " " + italic(argument["valueName"])
    body = [argument.get("abstract"), argument.get("discussion")]
    if argument.get("defaultValue") is not None:
        body.append(f"Default: {argument['defaultValue']}.")
    if argument.get("allValues"):
        body.append(f"One of: {', '.join(argument['allValues'])}.")
    return [".TP", term, text("\n".join(filter(None, body))) or "\\&"]


def sections(arguments):
    """Arguments by section: those of the command first."""
    chosen = {"Arguments": [], "Options": []}
    for argument in arguments:
        usual = "Arguments" if argument["kind"] == "positional" else "Options"
        chosen.setdefault(argument.get("sectionTitle") or usual, []).append(argument)
    titles = [title for title in chosen if title not in COMMON] + COMMON
    return [(title, chosen[title]) for title in titles if chosen.get(title)]


def is_reader(readers, path, arguments):
    """Whether the second column of the table means a command: all, an option that it has, or its name."""
    if len(path) == 1 or (readers == "every command" and arguments):
        return True
    options = [spelling(name) for argument in arguments for name in argument.get("names") or []]
    return any(word in options or word == " ".join(path[1:]) for word in re.findall(r"`(.*?)`", readers))


def environment(path, arguments):
    """The variables that a command reads, out of the table of the interface for scripts."""
    document = pathlib.Path("docs/cli-abi.md").read_text()
    table = document.split("## Environment variables", 1)[1].split("\n## ", 1)[0]
    lines = [".SH ENVIRONMENT"]
    for name, readers, meaning in re.findall(r"^\| `(.*?)` \| (.*?) \| (.*) \|$", table, re.MULTILINE):
        if is_reader(readers, path, arguments):
            lines += [".TP", bold(name), text(meaning.replace("`", "").replace("\\|", "|"))]
    return lines if len(lines) > 1 else lines + ["It reads none itself; the pages of its commands name what they read."]


def examples(discussion):
    """The prose of a discussion, and its examples as they are typed."""
    kept, lines = [], []
    for paragraph in (discussion or "").split("\n\n"):
        if paragraph.startswith("EXAMPLES:\n"):
            for line in paragraph.split("\n")[1:]:
                lines.append(line.strip().replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq"))
        else:
            kept.append(paragraph)
    section = [".SH EXAMPLES", ".nf", ".RS", *lines, ".RE", ".fi"] if lines else []
    return "\n\n".join(kept), section


def page(command, path, version, exit_status):
    title = "-".join(path)
    arguments = shown(command.get("arguments"))
    subcommands = [item for item in shown(command.get("subcommands")) if item["commandName"] != "help"]
    lines = [
        f'.TH "{title.upper()}" 1 "" "credfs {version}" "credfs"',
        ".SH NAME",
        text(title) + " \\- " + text(command.get("abstract") or path[-1]).rstrip("."),
        ".SH SYNOPSIS",
    ]
    form = [bold(" ".join(path))] + [synopsis(argument) for argument in arguments]
    lines.append(" ".join(form + ([italic("command") + " ..."] if subcommands else [])))
    discussion, shown_examples = examples(command.get("discussion"))
    if discussion:
        lines += [".SH DESCRIPTION", text(discussion)]
    for heading, chosen in sections(arguments):
        lines.append(f".SH {heading.upper()}")
        for argument in chosen:
            lines += description(argument)
    if subcommands:
        lines.append(".SH COMMANDS")
        for subcommand in subcommands:
            name = bold(f"{title}-{subcommand['commandName']}") + "(1)"
            if subcommand.get("aliases"):
                name += ", also " + ", ".join(map(bold, subcommand["aliases"]))
            lines += [".TP", name, text(subcommand.get("abstract")) or "\\&"]
    lines += environment(path, [item for item in arguments if item["kind"] != "flag" or item.get("sectionTitle")])
    lines += shown_examples
    if len(path) == 1:
        lines.append(exit_status.rstrip())
    else:
        lines += [".SH EXIT STATUS", "See " + bold(path[0]) + "(1)."]
        lines += [".SH SEE ALSO", bold("-".join(path[:-1])) + "(1)"]
    return title, "\n".join(lines) + "\n"


def render(command, path, version, exit_status, directory):
    path = path + [command["commandName"]]
    title, content = page(command, path, version, exit_status)
    (directory / f"{title}.1").write_text(content)
    for subcommand in shown(command.get("subcommands")):
        if subcommand["commandName"] != "help":
            render(subcommand, path, version, exit_status, directory)


render(
    json.load(sys.stdin)["command"], [], sys.argv[1], pathlib.Path(sys.argv[2]).read_text(), pathlib.Path(sys.argv[3])
)
