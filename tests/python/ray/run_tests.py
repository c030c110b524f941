#!/usr/bin/env python3
"""Runs kill_list.py once a kind and cluster_test.py with a Python that has ray: build/ray-venv, made here where PyPI gives it.

usage: run_tests.py PROGRAM     exit 77: skipped, which the last line tells
"""
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[2]
VENV = TREE / "build" / "ray-venv"
PACKAGES = ["ray[data]==2.60.0", "datasets", "nanobind-backend"]

sys.path.insert(0, str(HERE.parent))
from run_tests import fresh_wheel  # noqa: E402


def skip(reason):
    print(f"{pathlib.Path(__file__).name} ... skipped 'SKIPPED: {reason}'")
    sys.exit(77)


def main(program):
    python = VENV / "bin" / "python"
    if not (VENV / "installed").exists():
        venv.create(VENV, clear=True, with_pip=True)
        pip = subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], capture_output=True, text=True, check=False)
        if pip.returncode:
            skip(f"PyPI did not give {', '.join(PACKAGES)} ({pip.stderr.strip().splitlines()[-1][:120]})")
        (VENV / "installed").touch()
    subprocess.run([python, HERE / "kill_list.py", program], check=True)
    wheel, why = fresh_wheel()
    if not wheel:
        skip(f"the kill list passed; cluster_test.py: {why}")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel], check=True)
    subprocess.run([python, HERE / "cluster_test.py", program], check=True, cwd=VENV)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
