#!/usr/bin/env python3
"""Small rules of the tree: length of files, tabs, trailing spaces, traces of a merge, who prints, and that documents name only what exists.

usage: check_hygiene.py ROOT [BINARY]     prints one line for each finding; exit 0 none, 1 some
With BINARY, the flags that documents show behind `breakeven` or `./run` are looked up in its --help.
"""
import pathlib
import re
import subprocess
import sys

CODE = {".h", ".cc", ".cu", ".cuh", ".py", ".sh"}
CODE_FOLDERS = ("src", "tests", "bench", "fuzz", "tools", "runtimes", "python")
TEXT = CODE | {".md", ".txt", ".cmake", ".json"}
MERGE_MARK = re.compile(r"(?:<{7}|>{7}|\|{7}) \S|={7}$")
LINES_AT_MOST = 550  # "about 500"
PRINTS = re.compile(r"\bstd::(?:cout|cerr|clog)\b|\bstd::(?:printf|puts|putchar)\b|\bstd::fprintf\(std(?:out|err)|"
                    r"\bfmt::print\b|(?<![\w:])f?printf\(")
# Code outside src/cli that prints, with the reason.
MAY_PRINT = {"src/base/check.h": "its last words before it aborts"}
# Calls of std::filesystem that throw unless they are given an error_code: FILESYSTEM(..., error).
THROWS = re.compile(r"\b(?:fs|filesystem)::(absolute|canonical|copy|copy_file|copy_symlink|create_\w+|current_path|equivalent|exists|file_size|"
                    r"hard_link_count|is_\w+|last_write_time|permissions|proximate|read_symlink|relative|remove|remove_all|rename|"
                    r"resize_file|space|status|symlink_status|temp_directory_path|weakly_canonical)\(")
WALKS = re.compile(r"\bfor \([^;]*(?<!:):(?!:)\s*(?:\w+::)*(?:recursive_)?directory_iterator\b")
ERROR_NAMES = ("error", "ignored")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OUR_PATH = re.compile(r"^(?:src|tests|bench|fuzz|tools|docs|cmake|runtimes|python|models|data|results)/[\w./-]+$")
# `breakeven SUBCOMMAND flags` and `./run flags`, up to a comment, a pipe or the end of the line.
OUR_COMMAND = re.compile(r"(?:^|(?<!from)[\s(])(?:(?:build/release/bin/)?breakeven[ ]+(--[a-z-]+|[a-z]+)|(\./run))\b([^#|\n]*)", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def text_files(root):
    try:
        listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                                capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name]
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git on this machine, or a source archive
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    for name in sorted(names):
        path = root / name
        # Samples are wrong on purpose; goldens, fuzzing corpora and models are data.
        data = name.startswith(("tests/rules/samples/", "models/", "data/", "build/")) or "/golden" in name or "corpus" in name
        if path.is_file() and not data:
            yield name, path


def read_exceptions(root):
    listed = root / "tests" / "rules" / "long_files.txt"
    exceptions = {}
    for line in listed.read_text().splitlines() if listed.exists() else []:
        if line and not line.startswith("#"):
            name, limit, reason = line.split(maxsplit=2)
            assert reason
            exceptions[name] = int(limit)
    return exceptions


def check_code(name, text, exceptions):
    limit = exceptions.get(name, LINES_AT_MOST)
    lines = text.count("\n")
    if lines > limit and name.startswith(CODE_FOLDERS):
        yield lines, f"{lines} lines, {limit} at most: split it, or say why in tests/rules/long_files.txt"
    if name.startswith("src/"):
        yield from check_filesystem(re.sub(r"//.*", "", text))
    if name.startswith("src/") and not name.startswith("src/cli/") and name not in MAY_PRINT:
        for match in PRINTS.finditer(re.sub(r"//.*", "", text)):
            yield text.count("\n", 0, match.start()) + 1, "library code never prints: return it, and let src/cli print"


def last_argument(text, start):
    """Of a call whose bracket opens right before `start`."""
    depth, begin = 1, start
    for at in range(start, len(text)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin:at].strip()
        if depth == 1 and text[at] == ",":
            begin = at + 1
    return ""


def check_filesystem(text):
    for match in THROWS.finditer(text):
        if last_argument(text, match.end()) not in ERROR_NAMES:
            yield text.count("\n", 0, match.start()) + 1, (f"{match.group(1)} throws: give it an error_code named error or ignored, "
                                                           "or ask look_at() of base/files.h")
    for match in WALKS.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, "the ++ of a directory_iterator throws: use list_folder() of base/files.h"


def check_text(text):
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            yield number, "a tab"
        if MERGE_MARK.match(line):
            yield number, "a conflict of a merge"
        if line != line.rstrip():
            yield number, "trailing spaces"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end"


def check_license(root):
    path = root / "LICENSE"
    if not path.exists() or "Apache License" not in path.read_text()[:200]:
        yield "LICENSE:1: missing, or not the Apache License 2.0"


def known_flags(binary):
    """-> {subcommand: its flags}, with "" for breakeven's own."""
    def help_of(*command):
        return subprocess.run([binary, *command, "--help"], capture_output=True, text=True, check=False).stdout
    overview = help_of()
    commands = re.findall(r"^  ([a-z]+) ", overview, re.MULTILINE)
    return {"": set(FLAG.findall(overview))} | {command: set(FLAG.findall(help_of(command))) for command in commands}


def check_commands(text, flags):
    """`text` is a piece of shell. Yields what breakeven would refuse."""
    for first, run, rest in OUR_COMMAND.findall(text):
        command = "run" if run else "" if first.startswith("--") else first
        if command not in flags:
            yield f"shows `breakeven {command}`, which is no subcommand"
            continue
        for flag in FLAG.findall(f"{first} {rest}"):
            if flag not in flags[command]:
                yield f"shows {flag}, which `{f'breakeven {command}'.strip()}` does not know"


def check_document(root, name, text, flags):
    folder = (root / name).parent
    prose = FENCE.sub(lambda fence: "\n" * fence.group().count("\n"), text)
    for match in LINK.finditer(prose):
        target = match.group(1).split("#")[0]
        if target and not re.match(r"[a-z]+:", target) and not (folder / target).exists():
            yield prose.count("\n", 0, match.start()) + 1, f"a link to {target}, which does not exist"
    for match in CODE_SPAN.finditer(prose):
        span = match.group(1)
        if OUR_PATH.match(span) and not (root / span).exists():
            yield prose.count("\n", 0, match.start()) + 1, f"names {span}, which does not exist"
    if flags is None:
        return
    for pattern, where in ((FENCE, text), (CODE_SPAN, prose)):
        for match in pattern.finditer(where):
            for message in check_commands(match.group().strip("`"), flags):
                yield where.count("\n", 0, match.start()) + 1, message


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    flags = known_flags(sys.argv[2]) if len(sys.argv) > 2 else None
    exceptions = read_exceptions(root)
    findings = list(check_license(root))
    seen = 0
    for name, path in text_files(root):
        if path.suffix not in TEXT and name not in ("run", "test", ".ci/run"):
            continue
        seen += 1
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            findings.append(f"{name}:1: not UTF-8")
            continue
        found = list(check_text(text))
        if path.suffix in CODE:
            found += check_code(name, text, exceptions)
        if path.suffix == ".md" and name != "CHANGELOG.md":
            found += check_document(root, name, text, flags)
        findings += [f"{name}:{line}: {message}" for line, message in found]
    for name, limit in exceptions.items():
        if not (root / name).exists() or (root / name).read_text().count("\n") <= LINES_AT_MOST:
            findings.append(f"tests/rules/long_files.txt:1: {name} needs no exception (at most {limit}) any more")
    print("\n".join(findings + [f"{seen} files, {len(findings)} findings"]))
    return 1 if findings or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
