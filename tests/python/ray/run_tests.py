#!/usr/bin/env python3
"""Runs kill_list.py once a kind with a Python that has ray: build/ray-venv, made here where PyPI gives it.

usage: run_tests.py PROGRAM     exit 77: skipped, which the last line tells
"""
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
VENV = HERE.parents[2] / "build" / "ray-venv"
RAY = "ray==2.60.0"

if __name__ == "__main__":
    python = VENV / "bin" / "python"
    if not (VENV / "installed").exists():
        venv.create(VENV, clear=True, with_pip=True)
        pip = subprocess.run([python, "-m", "pip", "install", "--quiet", RAY], capture_output=True, text=True, check=False)
        if pip.returncode:
            print(f"{pathlib.Path(__file__).name} ... skipped 'SKIPPED: PyPI did not give {RAY} ({pip.stderr.strip().splitlines()[-1][:120]})'")
            sys.exit(77)
        (VENV / "installed").touch()
    sys.exit(subprocess.run([python, HERE / "kill_list.py", sys.argv[1]], check=False).returncode)
