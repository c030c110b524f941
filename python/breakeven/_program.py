"""The program `breakeven` of this package: its file, and the command that runs it."""
import os
import pathlib
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent / "bin" / "breakeven"


def main():
    try:
        os.execv(PROGRAM, ["breakeven", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"breakeven: {PROGRAM}: {error.strerror}; install the package again")
