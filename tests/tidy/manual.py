#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""manual - the man pages that are made from what they describe.

usage: manual.py farpage.1 FARPAGE             from the command's own help
       manual.py farpaged.8 FARPAGED           from the server's
       manual.py farpaged.yaml.5 FARPAGED      from its annotated configuration
       manual.py farpage-protocol.7 SOURCE     from the tables of protocol/

Prints the page. tidy compares it with the one in docs/man; after a change of the command or of a
table: manual.py ... > docs/man/PAGE."""
import pathlib
import re
import subprocess
import sys


def escaped(text):
    """As mdoc takes it: a backslash, and a control line's first character, stand for themselves."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def head(name, section, title, what):
    return [".\\\" Made by tests/tidy/manual.py; SPDX-License-Identifier: BSD-3-Clause",
            ".Dd November 28, 2026", f".Dt {name.upper()} {section}", ".Os farpage", ".Sh NAME",
            f".Nm {title}", f".Nd {what}"]


# --- farpage(1) -----------------------------------------------------------------------------------

def help_of(farpage, *words):
    return subprocess.run([farpage, *words], capture_output=True, text=True, timeout=20,
                          check=True).stdout


def options(lines):
    page = [".Bl -tag -width indent"]
    for line in lines:
        if match := re.match(r"  (--[a-z-]+)(?: ([A-Z|]+))? +(.*)", line):
            page += [f".It {escaped(match[1])}" + (f" Ar {match[2]}" if match[2] else ""),
                     escaped(match[3])]
    return page + [".El"]


def command_page(text, shared):
    """One sub-command: its usage, what it says of itself, the options that are its own."""
    title, _, rest = text.partition("\n\nusage: ")
    usage, _, rest = rest.partition("\n\n")
    said, _, listed = rest.rpartition("options:\n")
    name, _, what = title.partition(" - ")
    page = [f".Ss {name}", escaped(what[0].upper() + what[1:]) + ".", ".Bd -literal -offset indent",
            *(escaped(line.strip()) for line in usage.splitlines()), ".Ed"]
    if said.strip():
        page += [".Bd -literal", *map(escaped, said.strip().splitlines()), ".Ed"]
    own = [line for line in listed.splitlines() if line not in shared]
    return page + (options(own) if own else [])


def farpage_page(farpage):
    text = help_of(farpage, "--help")
    commands, _, rest = text.partition("commands:\n")[2].partition("\n\n")
    listed, _, codes = rest.partition("options of every command:\n")[2].partition("\n\n")
    shared = listed.splitlines()
    page = head("farpage", 1, "farpage", "keep memory pages on a farpage server")
    page += [".Sh SYNOPSIS", ".Nm", ".Op Fl \\-server Ar ADDRESS", ".Ar COMMAND",
             ".Op Ar OPTION ...", ".Op Ar OPERAND ...", ".Sh DESCRIPTION",
             "Stores, loads and compares pages, shows what a server holds, and tells it what to do.",
             "Each command takes these options:", *options(shared), ".Sh COMMANDS"]
    for line in commands.splitlines():
        if line.startswith("   "):  # what a long line says of its command
            continue
        page += command_page(help_of(farpage, "help", line.split()[0]), shared)
    page += [".Sh ENVIRONMENT", ".Bl -tag -width FARPAGE_SERVER", ".It Ev FARPAGE_SERVER",
             "The server, where", ".Fl \\-server", "does not say.", ".It Ev FARPAGE_TLS",
             "1: as", ".Fl \\-tls .", ".It Ev FARPAGE_TLS_CA , FARPAGE_TLS_CERT , FARPAGE_TLS_KEY",
             "Files, where", ".Fl \\-tls-ca , \\-tls-cert", "and", ".Fl \\-tls-key",
             "name none.", ".It Ev FARPAGE_AUTH", "A file, where", ".Fl \\-auth-file",
             "names none.", ".It Ev NO_COLOR",
             "Not empty: no colours.", ".El", ".Sh EXIT STATUS",
             escaped(codes.strip().removeprefix("exit codes: ")) + ".", ".Sh SEE ALSO",
             ".Xr libfarpage 3 ,", ".Xr farpage-protocol 7 ,", ".Xr farpaged 8"]
    return page


# --- farpaged(8) ----------------------------------------------------------------------------------

def rows(text, width):
    """What stands at the left of `width` columns, and what is said of it."""
    page = [".Bl -tag -width indent"]
    for line in text.splitlines():
        page += [f".It {escaped(line[:width].strip())}", escaped(line[width:].strip())]
    return page + [".El"]


def farpaged_page(farpaged):
    about, listed, signals, codes, preface, keys = re.fullmatch(
        r"Usage: .*\n(.*)\n\nOptions:\n((?s:.*?))\n\nSignals:\n((?s:.*?))\n\nExit codes:\n((?s:.*?))"
        r"\n\n(Configuration keys(?s:.*?))\n\n((?s:.*))", help_of(farpaged, "--help")).groups()
    page = head("farpaged", 8, "farpaged", "keep other machines' memory pages, compressed")
    page += [".Sh SYNOPSIS", ".Nm", ".Op Fl \\-config Ar FILE", ".Op Fl \\-set Ar KEY=VALUE ...",
             ".Op Fl \\-restore Ar FILE", ".Op Fl \\-check", ".Op Fl \\-dump-config", ".Sh DESCRIPTION", escaped(about),
             "It runs in the foreground and logs to standard error.", *rows(listed, 30),
             ".Sh SIGNALS", *rows(signals, 19), ".Sh EXIT STATUS", *rows(codes, 6),
             ".Sh CONFIGURATION", ".Bd -literal", *map(escaped, preface.splitlines()), ".Ed",
             ".Bd -literal", *(escaped(line.rstrip()) for line in keys.splitlines()), ".Ed", ".Sh SEE ALSO",
             ".Xr farpage 1 ,", ".Xr farpaged.yaml 5 ,", ".Xr farpage-protocol 7"]
    return page


# --- farpaged.yaml(5) -----------------------------------------------------------------------------

def said(lines):
    """What the comments above a key say; the last of them is what it takes, and when."""
    sentences = " ".join(lines[:-1])
    takes, _, when = lines[-1].rpartition("; ")
    return [escaped(sentences), ".Pp", f"Takes {escaped(takes)};",
            "a reload changes it." if when == "reload" else "a change needs a restart."]


def keys_of(lines):
    """(key, default, comments) of each key of a section; those of a list's items are commented out
    where it is empty by default, deeper than what is said of them."""
    comments = []
    for line in lines:
        if match := re.match(r"#? +(?:- )?(\w+): (.*)", line):
            yield match[1], match[2], comments
            comments = []
        elif match := re.match(r" +# (.*)", line):
            comments.append(match[1])


def yaml_page(farpaged):
    text = help_of(farpaged, "--dump-config=annotated")
    head_text, *sections = re.split(r"\n\n(?=# )", text)
    page = head("farpaged.yaml", 5, "farpaged.yaml", "configuration of the farpage server")
    page += [".Sh DESCRIPTION", ".Xr farpaged 8", "reads it where", ".Fl \\-config", "names it.",
             "What is left out has its default; a key that is not known is an error, and so is one",
             "that is given twice.",
             "Sizes are a number and KiB, MiB, GiB or TiB; durations a number and ms, s, m or h."]
    for section in sections:
        lines = section.splitlines()
        at = next(i for i, line in enumerate(lines) if not line.startswith("#"))
        name = lines[at].rstrip(":")
        is_list = any(re.match(r"#?\s+- ", line) for line in lines)
        page += [f".Ss {name}{'[]' if is_list else ''}",
                 escaped(" ".join(line[2:] for line in lines[:at])), ".Bl -tag -width indent"]
        for key, default, comments in keys_of(lines[at + 1:]):
            page += [f".It {escaped(key)}: {escaped(default)}", *said(comments)]
        page += [".El"]
    page += [".Sh FILES", ".Pa /etc/farpage/farpaged.yaml", ".Sh SEE ALSO", ".Xr farpaged 8 ,",
             ".Xr farpage 1"]
    return page


# --- farpage-protocol(7) --------------------------------------------------------------------------

def table(text, macro):
    body = re.search(rf"#define {macro}\(X\)(.*?)\n\n", text, re.S)[1].replace("\\\n", " ")
    return re.findall(r'X\(\s*(\d+), FRAME_\w+, "([^"]+)",(?:[^"]*?,)?\s*"([^"]+)"', body)


def protocol_page(source):
    text = (pathlib.Path(source) / "protocol/frame_table.h").read_text()
    lines = (pathlib.Path(source) / "protocol/command_tbl.h").read_text().replace("\\\n", " ")
    usages = re.findall(r'X\(\s*COMMAND_\w+,\s*"[^"]+",\s*SHAPE_\w+,\s*"([^"]+)"', lines)
    page = head("farpage-protocol", 7, "farpage-protocol", "what is spoken with a farpage server")
    page += [".Sh DESCRIPTION", "One port speaks two languages, told apart by the first byte.",
             "A byte FA begins the frames of the page protocol; anything else is a line of",
             "memcached's text dialect.",
             "A frame is a header of 40 bytes, big-endian, and then a body:",
             ".Bd -literal -offset indent",
             "offset  size", "     0     1  magic       FA in a request, FB in a reply",
             "     1     1  opcode", "     2     2  status      0 in a request",
             "     4     4  tag         the client's choice; the reply repeats it",
             "     8     8  slot", "    16     4  area        its number on this connection",
             "    20     4  count", "    24     4  body_bytes",
             "    28     4  body_crc    CRC32C of the body",
             "    32     4  reserved    0", "    36     4  header_crc  CRC32C of bytes 0 to 35",
             ".Ed", ".Ss Requests", ".Bl -tag -width 22n"]
    for number, name, meaning in table(text, "FRAME_OPCODES"):
        page += [f".It {number} {escaped(name)}", escaped(meaning)]
    page += [".El", ".Ss Statuses", ".Bl -tag -width 22n"]
    for number, name, meaning in table(text, "FRAME_STATUSES"):
        page += [f".It {number} {escaped(name)}", escaped(meaning)]
    page += [".El", ".Ss Lines of text", ".Bd -literal -offset indent", *map(escaped, usages),
             ".Ed", ".Sh SEE ALSO", "The specification, with examples, is",
             ".Pa protocol.md", "in the documentation that is installed with the server.", ".Pp",
             ".Xr farpage 1 ,", ".Xr libfarpage 3 ,", ".Xr farpaged 8"]
    return page


PAGES = {"farpage.1": farpage_page, "farpaged.8": farpaged_page, "farpaged.yaml.5": yaml_page,
         "farpage-protocol.7": protocol_page}


def page_of(name, source):
    return "\n".join(PAGES[name](source)) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PAGES:
        sys.exit(__doc__)
    sys.stdout.write(page_of(sys.argv[1], sys.argv[2]))
