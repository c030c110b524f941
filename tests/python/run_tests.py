#!/usr/bin/env python3
"""Installs the wheel that tools/build_wheel made into an environment of its own and runs the tests of this folder with it.

usage: run_tests.py [NAME_test.py ...]     exit 77: skipped, which the last line tells. With BREAKEVEN_REQUIRE_WHEEL=1 it fails instead.
"""
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
WORK = TREE / "build" / "wheel"
REQUIREMENTS = HERE / "requirements.txt"
# What the wheel is made of, as far as a change of it would show here.
SOURCES = ("src", "python", "cmake", "pyproject.toml")


def skip(reason):
    print(f"{pathlib.Path(__file__).name} ... skipped 'SKIPPED: {reason}'")
    sys.exit(1 if os.environ.get("BREAKEVEN_REQUIRE_WHEEL") == "1" else 77)


def newest_source():
    files = (path for name in SOURCES for path in ([TREE / name] if (TREE / name).is_file() else (TREE / name).rglob("*")))
    return max((path for path in files if path.is_file() and "__pycache__" not in path.parts), key=lambda path: path.stat().st_mtime)


def install(wheel):
    environment = WORK / "test-venv"
    python = environment / "bin" / "python"
    installed = environment / "installed"
    wanted = REQUIREMENTS.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        venv.create(environment, clear=True, with_pip=True)
        pip = subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", REQUIREMENTS],
                             capture_output=True, text=True, check=False)
        if pip.returncode:
            skip(f"PyPI did not give tests/python/requirements.txt ({pip.stderr.strip().splitlines()[-1][:120]})")
        installed.write_text(wanted)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def fresh_wheel():
    """-> the wheel and "", or None and why there is none."""
    wheels = sorted((WORK / "dist").glob("breakeven-*.whl"))
    if not wheels:
        return None, "there is no wheel: tools/build_wheel makes one"
    if newest_source().stat().st_mtime > wheels[-1].stat().st_mtime:
        return None, f"the wheel is older than {newest_source().relative_to(TREE)}: tools/build_wheel makes a new one"
    return wheels[-1], ""


def main():
    wheel, why = fresh_wheel()
    if not wheel:
        skip(why)
    python = install(wheel)
    names = sys.argv[1:] or sorted(path.name for path in HERE.glob("*_test.py"))
    for name in names:
        subprocess.run([python, HERE / name], check=True, cwd=WORK, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"})


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
