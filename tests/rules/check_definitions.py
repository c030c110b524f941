#!/usr/bin/env python3
"""X.cc defines what X.h declares: finds functions and members that are defined in another file than their header's.

usage: check_definitions.py SRC EXCEPTIONS     prints one line for each finding; exit 0 none, 1 some, 2 wrong call
EXCEPTIONS: lines "header: source source ...", for headers that several sources share on purpose
"""
import collections
import pathlib
import re
import sys

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
ANONYMOUS = re.compile(r"^namespace \{\n.*?^\}  // namespace$", re.DOTALL | re.MULTILINE)
# clang-format puts what stands at namespace scope, and only that, at the start of a line.
DEFINITION = re.compile(r"^(?!static |inline |constexpr |template )[A-Za-z_][\w:<>,&*\s]*?[\s&*]([\w:]+)\([^;{}]*\)[^;{}]*\{", re.MULTILINE)
DECLARATION = re.compile(r"^[A-Za-z_\[][\w:<>,&*\s\[\]]*?[\s&*](\w+)\([^;{}]*(?:\{\}[^;{}]*)*\)[^;{}]*;", re.MULTILINE)
CLASS = re.compile(r"^\s*(?:class|struct) (?:\[\[\w+\]\] )?(\w+)(?: final)?(?: : [^;{]*)? *\{", re.MULTILINE)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source = pathlib.Path(sys.argv[1])
    shared = dict(line.split(": ", 1) for line in pathlib.Path(sys.argv[2]).read_text().splitlines() if line and line[0] != "#")
    texts = {path.relative_to(source): COMMENT.sub("", ANONYMOUS.sub("", path.read_text()))
             for path in sorted(source.rglob("*")) if path.suffix in (".h", ".cc")}
    homes = collections.defaultdict(set)  # (folder, name) -> headers that declare it
    for path, text in texts.items():
        if path.suffix == ".h":
            for name in DECLARATION.findall(text) + CLASS.findall(text):
                homes[path.parent, name].add(path)
    findings = 0
    for path, text in texts.items():
        if path.suffix == ".h":
            continue
        own_classes = set(CLASS.findall(text))
        for name in dict.fromkeys(match.split("::")[0] for match in DEFINITION.findall(text)):
            headers = homes[path.parent, name]
            if not headers or path.with_suffix(".h") in headers or name in own_classes:
                continue
            names = sorted(header.as_posix() for header in headers)
            if not any(path.name in shared.get(header, "").split() for header in names):
                print(f"{path}: defines {name}, which {' or '.join(names)} declares")
                findings += 1
    print(f"{len(texts)} files, {findings} definitions away from home")
    return 1 if findings or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
