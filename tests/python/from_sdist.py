#!/usr/bin/env python3
"""Where no wheel fits, pip takes the source archive: it is made, pip builds and installs it as for any user, and what it gives works. Exit 77: skipped."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

TREE = pathlib.Path(__file__).resolve().parents[2]
TESTS = ("Golden", "Calls", "Package.test_the_program_comes_along_and_finds_its_data", "Package.test_readmes_lines_run_as_printed")


def main():
    with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
        folder = pathlib.Path(folder).resolve()
        made = subprocess.run([TREE / "tools" / "build_wheel", "--sdist", folder / "dist"], stderr=subprocess.PIPE, text=True, check=False)
        if made.returncode == 77:
            print(f"{pathlib.Path(__file__).name} ... skipped '{made.stderr.strip()}'")
            return 77
        sys.stderr.write(made.stderr)
        made.check_returncode()
        archive, = (folder / "dist").glob("breakeven-*.tar.gz")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        environment = os.environ | {"TMPDIR": str(folder), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if shutil.which("ccache"):  # pip unpacks into a folder of another name each time
            environment |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_BASEDIR": str(folder), "CCACHE_NOHASHDIR": "1"}
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--config-settings=build-dir=build/sdist", archive], check=True, env=environment)
        return subprocess.run([python, TREE / "tests" / "python" / "pipeline_test.py", *TESTS], check=False, cwd=folder, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
