#!/usr/bin/env python3
"""Reads every #include below a source folder and refuses what layers.txt does not allow.

usage: check_includes.py SRC LAYERS     prints one line for each finding; exit 0 none, 1 some, 2 wrong call
"""
import collections
import fnmatch
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
# folders: who may include whom; external: pattern of other projects' headers -> who may; generated: name -> who may.
Layers = collections.namedtuple("Layers", "folders external generated")
SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc"}


def read_layers(path):
    """-> Layers of the file's three sections."""
    layers, section = Layers({}, {}, {}), None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.strip("[]") in Layers._fields:
            section = getattr(layers, line.strip("[]"))
            continue
        name, colon, rest = line.partition(":")
        if not colon or section is None:
            sys.exit(f"{path}:{number}: not a rule: {line}")
        section[name] = set(rest.split())
    return layers


def folder_of(path, folders):
    """The rule for a file: the longest listed folder that holds it; None when there is none."""
    parts = pathlib.PurePosixPath(path).parts[:-1]
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        if name in folders:
            return name
    return None


def check_file(path, text, layers):
    """`path` relative to src. Yields (line, message)."""
    folders = layers.folders
    own = folder_of(path, folders)
    if own is None:
        yield 1, f"no rule in layers.txt for the folder of {path}"
        return
    for match in INCLUDE.finditer(text):
        quote, included = match.groups()
        line = text.count("\n", 0, match.start(1)) + 1
        for pattern, allowed in layers.external.items():
            if fnmatch.fnmatchcase(included, pattern) and own not in allowed:
                yield line, f"src/{own} may not include {included} (only {', '.join(sorted(allowed))})"
        if quote == "<":
            continue
        if own in layers.generated.get(included, ()):
            continue
        if included.startswith(".") or "/" not in included:
            yield line, f"write the path from src/, not {included}"
            continue
        target = folder_of(included, folders)
        if target is None or target == own or folders[own] == {"*"} or target in folders[own]:
            continue
        allowed = ", ".join(sorted(folders[own])) or "nothing"
        yield line, f"src/{own} may not include {included} (it may know: {allowed})"


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source = pathlib.Path(sys.argv[1])
    layers = read_layers(pathlib.Path(sys.argv[2]))
    files = sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES)
    findings = 0
    for path in files:
        relative = path.relative_to(source).as_posix()
        for line, message in check_file(relative, path.read_text(), layers):
            print(f"{source.name}/{relative}:{line}: {message}")
            findings += 1
    print(f"{len(files)} files, {findings} forbidden includes")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main())
