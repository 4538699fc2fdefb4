# SPDX-License-Identifier: Apache-2.0
"""Renders what a program says with --experimental-dump-help as man pages, one for each command.

The plugin of argument-parser that does the same takes half a minute to build and gives no exit codes.
"""

import json
import pathlib
import sys


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
    if command.get("discussion"):
        lines += [".SH DESCRIPTION", text(command["discussion"])]
    for heading, kinds in (("ARGUMENTS", {"positional"}), ("OPTIONS", {"option", "flag"})):
        chosen = [argument for argument in arguments if argument["kind"] in kinds]
        if chosen:
            lines.append(f".SH {heading}")
            for argument in chosen:
                lines += description(argument)
    if subcommands:
        lines.append(".SH COMMANDS")
        for subcommand in subcommands:
            name = bold(f"{title}-{subcommand['commandName']}")
            lines += [".TP", name + "(1)", text(subcommand.get("abstract")) or "\\&"]
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
