"""The program `breakeven` of this package: its file, and the command that runs it."""
import os
import pathlib
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent / "bin" / "breakeven"


def tell_packages():
    """The engine opens libraries of other packages (its CUDA part, NVIDIA's cublasLt), which may lie in another folder than this one."""
    found = [folder for folder in sys.path if folder and any(os.path.isdir(os.path.join(folder, name)) for name in
                                                             ("breakeven_cuda12", "breakeven_cuda13", "nvidia", "torch"))]
    os.environ.setdefault("BREAKEVEN_SITE_PACKAGES", ":".join(found))


def main():
    tell_packages()
    try:
        os.execv(PROGRAM, ["breakeven", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"breakeven: {PROGRAM}: {error.strerror}; install the package again")
