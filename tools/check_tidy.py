#!/usr/bin/env python3
"""clang-tidy over every .cc below src/, in parallel, remembering what was clean.

usage: check_tidy.py [--jobs N] [--build FOLDER] [FILE.cc ...]    exit 0 clean, 1 findings, 2 cannot run

A file is not read again while its key is known as clean. The key is a hash over the rules, the tool's version, the compile
command, and the content of the file and of every header of ours that it includes, directly or not. System headers are not
in it: after an upgrade of a library, remove the cache ($XDG_CACHE_HOME/breakeven/tidy).
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def find_tidy():
    for name in ("clang-tidy-14", "clang-tidy"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            if "version 14." in version:
                return path, version
    sys.exit("check_tidy: clang-tidy 14 is not installed (Debian: clang-tidy-14)")


def reached_files(source, include_folders):
    """The file and all of ours that it includes, in a fixed order."""
    seen, todo = set(), [source]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for included in INCLUDE.findall(path.read_bytes()):
            for folder in include_folders:
                candidate = folder / included.decode()
                if candidate.is_file():
                    todo.append(candidate.resolve())
                    break
    return sorted(seen)


def key_of(source, command, version, build):
    digest = hashlib.sha256()
    # Paths of this checkout are no part of the key: another clone may share what was found here.
    digest.update(f"{version}\n{command.replace(str(build), '@build').replace(str(ROOT), '@root')}\n".encode())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    for path in reached_files(source, [ROOT / "src", build / "generated"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--build", default=str(ROOT / "build" / "release"))
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    tidy, version = find_tidy()
    build = pathlib.Path(options.build).resolve()
    database = build / "compile_commands.json"
    if not database.exists():
        sys.exit(f"check_tidy: {database} is missing; ./test makes it")
    wanted = {pathlib.Path(name).resolve() for name in options.files}
    entries = {}
    for entry in json.loads(database.read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if path.suffix == ".cc" and (path in wanted if wanted else ROOT / "src" in path.parents):
            entries[path] = entry.get("command") or shlex.join(entry["arguments"])
    unbuilt = [path for path in (wanted or (ROOT / "src").rglob("*.cc")) if path.resolve() not in entries
               and not path.name.endswith("_absent.cc")]  # what a build without a library compiles instead (BREAKEVEN_DOWNLOADS=OFF)
    for path in unbuilt:
        print(f"{path}:1: no target compiles this file")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "breakeven" / "tidy"
    cache.mkdir(parents=True, exist_ok=True)

    def check(path):
        clean = cache / key_of(path, entries[path], version, build)
        if clean.exists():
            return 0, "", True
        result = subprocess.run([tidy, "--quiet", "-p", build, path], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            clean.touch()
        return result.returncode, result.stdout + re.sub(r"^\d+ warnings.* generated\.\n", "", result.stderr, flags=re.M), False

    failed = known = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for code, output, was_known in pool.map(check, sorted(entries)):
            known += was_known
            failed += code != 0
            if code != 0:
                print(output, flush=True)
    print(f"clang-tidy: {len(entries)} files, {known} known as clean, {failed} with findings")
    return 1 if failed or unbuilt or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
