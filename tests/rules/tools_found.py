"""Finds the pinned clang tools and the compiler for the rule tests."""
import re
import shutil
import subprocess

PINNED_LLVM = "14"


def find_llvm_tool(name):
    """The path of clang-format or clang-tidy in the pinned version, or None."""
    for candidate in (f"{name}-{PINNED_LLVM}", name):
        path = shutil.which(candidate)
        if path is None:
            continue
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if re.search(rf"version {PINNED_LLVM}\.", version):
            return path
    return None
