#!/usr/bin/env python3
"""Registers, shared memory, spills and occupancy of every CUDA kernel, and what its machine code must and must not hold.

usage: cuda_report.py [--arch 75,90a] [--nvcc FILE] [--nvdisasm FILE] [--write DOC]

Compiles src/ops/cuda/kernels_*.cu to PTX and to machine code (ptxas -v -warn-spills -warn-lmem-usage), no GPU needed. Exit 1 when a
kernel that is not a plain twin spills, uses local memory (LDL, STL) or lacks its matrix instructions: FlashAttention, WideAttention,
RelativeAttention and ClsTiles must hold HMMA and LDSM. Without nvdisasm the machine code is not looked at, and the table says so. --write puts the table into a document.
"""
import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- kernels: written by tools/cuda_report\.py -->\n.*?<!-- end of kernels -->\n", re.DOTALL)
# What a multiprocessor holds: warps, blocks, bytes of shared memory, and what of those each block costs before its own.
MULTIPROCESSORS = {
    75: (32, 16, 64 << 10, 0), 80: (64, 32, 164 << 10, 1 << 10), 86: (48, 16, 100 << 10, 1 << 10),
    89: (48, 24, 100 << 10, 1 << 10), 90: (64, 32, 228 << 10, 1 << 10), 100: (64, 32, 228 << 10, 1 << 10),
    120: (48, 24, 100 << 10, 1 << 10),
}
REGISTERS = 64 << 10  # of a multiprocessor; a warp takes them in steps of 256
MATRIX_INSTRUCTIONS = dict.fromkeys(("FlashAttention", "WideAttention", "RelativeAttention", "ClsTiles"), ("HMMA", "LDSM"))
NO_MATRIX_UNITS = {("75", "Bf16")}  # sm_75 multiplies no bf16: the engine refuses bf16 there


@dataclasses.dataclass
class Kernel:
    name: str  # as mangled, then as a person writes it
    arch: str
    registers: int = 0
    stack: int = 0
    spilled: int = 0  # bytes, stores and loads
    static_shared: int = 0
    dynamic_shared: int = 0  # for DistilBERT's shape
    threads: int = 0
    local: "int | None" = None  # LDL and STL instructions; None = not looked at
    matrix: "dict[str, int]" = dataclasses.field(default_factory=dict)

    @property
    def plain(self):
        return self.name.startswith("Plain")

    @property
    def shared(self):
        return self.static_shared + self.dynamic_shared

    @property
    def occupancy(self):
        return occupancy(self.arch, self.threads, self.registers, self.shared)


def occupancy(arch, threads, registers, shared):
    """The share of a multiprocessor's warps that can be resident, from what a block of this kernel takes."""
    most_warps, most_blocks, shared_bytes, reserved = MULTIPROCESSORS[int(arch.rstrip("af"))]
    warps = -(-threads // 32)
    registers_a_warp = -(-registers * 32 // 256) * 256
    # Registers belong to one of four partitions, and a warp to one of them.
    by_registers = REGISTERS // 4 // max(1, registers_a_warp) * 4 // warps
    unit = 256 if reserved == 0 else 128
    taken = -(-(shared + reserved) // unit) * unit
    blocks = min(most_blocks, most_warps // warps, by_registers, shared_bytes // taken if taken else most_blocks)
    return blocks * warps / most_warps


def parse_ptxas(log, arch):
    """{mangled name: Kernel} from what `ptxas -v` says."""
    kernels, kernel = {}, None
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = kernels[match[1]] = Kernel(match[1], arch)
        elif kernel is None:
            continue
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            kernel.stack, kernel.spilled = int(match[1]), int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            kernel.registers = int(match[1])
            shared = re.search(r"(\d+) bytes smem", line)
            kernel.static_shared = int(shared[1]) if shared else 0
    return kernels


def parse_threads(ptx):
    """{mangled name: threads of a block} from the launch bounds in PTX."""
    found = re.findall(r"\.entry (\w+)\(.*?\)\s*\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?", ptx, re.DOTALL)
    return {name: int(x) * int(y or 1) * int(z or 1) for name, x, y, z in found}


def parse_sass(sass):
    """{mangled name: {instruction: count}} of those that the rules speak of, from nvdisasm."""
    counts, current = {}, None
    for line in sass.splitlines():
        if match := re.match(r"\s*\.section\s+\.text\.(\w+)", line):
            current = counts[match[1]] = {}
        elif current is not None and (match := re.match(r"\s+(?:/\*\w+\*/)?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]+)[. ;]", line)):
            if match[1] in ("HMMA", "IMMA", "LDSM", "LDL", "STL"):
                current[match[1]] = current.get(match[1], 0) + 1
    return counts


def readable(demangled):
    """"FlashAttention<Half, 64>" from "void ...::run_kernel<...>(...)", as the host compiler or c++filt writes it."""
    text = re.sub(r"^.*?run_kernel<(.*)>\(.*$", r"\1", demangled.strip())
    text = re.sub(r"\b\w+::", "", text)
    # The compiler of the probe leaves out a template's default.
    return re.sub(r"(\d+)u\b", r"\1", text).replace(" >", ">").replace(", AllKeys>", ">").strip()


def problems(kernel):
    """Why this kernel is not as it is meant; plain twins may be as slow as they like."""
    if kernel.plain:
        return []
    found = []
    if kernel.spilled:
        found.append(f"{kernel.spilled} bytes of registers spilled")
    if kernel.stack:
        found.append(f"a stack frame of {kernel.stack} bytes")
    if kernel.local:
        found.append(f"{kernel.local} accesses to local memory")
    for prefix, wanted in MATRIX_INSTRUCTIONS.items():
        if kernel.local is None or not kernel.name.startswith(prefix):
            continue
        if any(kernel.arch == arch and name in kernel.name for arch, name in NO_MATRIX_UNITS):
            continue
        found += [f"no {instruction}" for instruction in wanted if not kernel.matrix.get(instruction)]
    return [f"sm_{kernel.arch} {kernel.name}: {problem}" for problem in found]


# Names and dynamic shared memory of every kernel that a launch can name, for DistilBERT's 768 columns and 512 positions.
PROBE = """
#include <cstdio>
#include <string_view>
#include "ops/cuda/kernels/call.h"
template <class K> void show() {
  std::size_t bytes = 0;
  if constexpr (requires { K::shared_bytes(768, 512); }) bytes = K::shared_bytes(768, 512);
  else if constexpr (requires { K::kSharedBytes; }) bytes = K::kSharedBytes;
  const std::string_view name = __PRETTY_FUNCTION__;
  const auto from = name.find("K = ") + 4;
  std::printf("%.*s|%zu\\n", static_cast<int>(name.size() - from - 1), name.data() + from, bytes);
}
template <class... K> void all(const std::variant<K...>*) { (show<K>(), ...); }
template <class... V> void every(const std::variant<V...>*) { (all(static_cast<const V*>(nullptr)), ...); }
int main() { every(static_cast<const breakeven::ops::cuda::Kernel*>(nullptr)); }
"""


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        sys.exit(f"cuda_report: {command[0]} failed:\n{result.stdout}{result.stderr}")
    return result


def shared_memory(folder):
    source, program = folder / "probe.cc", folder / "probe"
    source.write_text(PROBE)
    run("c++", "-std=c++20", "-I", ROOT / "src", source, "-o", program)
    rows = (line.rpartition("|") for line in run(program).stdout.splitlines())
    return {readable(name): int(shared) for name, _, shared in rows}


def compile_kernels(options, folder):
    ptxas = pathlib.Path(options.nvcc).with_name("ptxas")
    dynamic = shared_memory(folder)
    kernels = []
    for arch in options.arch.split(","):
        for source in sorted((ROOT / "src" / "ops" / "cuda").glob("kernels_*.cu")):
            ptx, cubin = folder / f"{source.stem}.ptx", folder / f"{source.stem}.cubin"
            run(options.nvcc, "-std=c++20", "-O3", "-DNDEBUG", "-DFMT_USE_CONSTEXPR=1", "-I", ROOT / "src", "-ptx",
                f"-arch=compute_{arch}", source, "-o", ptx)
            log = run(ptxas, "-v", "-warn-spills", "-warn-lmem-usage", f"-arch=sm_{arch}", ptx, "-o", cubin).stderr
            found, threads = parse_ptxas(log, arch), parse_threads(ptx.read_text())
            sass = parse_sass(run(options.nvdisasm, cubin).stdout) if options.nvdisasm else None
            names = run("c++filt", *found).stdout.splitlines()
            for (mangled, kernel), demangled in zip(found.items(), names):
                kernel.name = readable(demangled)
                kernel.threads = threads[mangled]
                kernel.dynamic_shared = dynamic[kernel.name]
                if sass is not None:
                    counts = sass[mangled]
                    kernel.local = counts.pop("LDL", 0) + counts.pop("STL", 0)
                    kernel.matrix = counts
                kernels.append(kernel)
    return kernels


def table(kernels, release):
    """One line a kernel, plain twins left out; one group of columns an architecture."""
    archs = list(dict.fromkeys(kernel.arch for kernel in kernels))
    by_name = {}
    for kernel in kernels:
        if not kernel.plain:
            by_name.setdefault(kernel.name, {})[kernel.arch] = kernel
    looked = all(kernel.local is not None for kernel in kernels)
    lines = [f"nvcc {release}; a block's shared memory is that for 768 columns and 512 positions; occupancy is what fits at once, of a "
             "multiprocessor's warps." + ("" if looked else " The machine code was not looked at."), ""]
    heads = [f"sm_{arch} {what}" for arch in archs for what in ("registers", "occupancy", "matrix instructions")]
    lines.append("| kernel | threads | shared | " + " | ".join(heads) + " |")
    lines.append("|---|---:|---:|" + "---:|---:|---|" * len(archs))
    for name, found in sorted(by_name.items()):
        first = next(iter(found.values()))
        cells = []
        for arch in archs:
            kernel = found[arch]
            matrix = ", ".join(f"{count} {what}" for what, count in sorted(kernel.matrix.items())) if looked else "not looked at"
            cells += [str(kernel.registers), f"{kernel.occupancy * 100:.0f} %", matrix]
        lines.append(f"| `{name}` | {first.threads} | {first.shared} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="75,90a")
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    parser.add_argument("--nvdisasm", default=shutil.which("nvdisasm"))
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    release = re.search(r"V([\d.]+)", run(options.nvcc, "--version").stdout)[1]
    with tempfile.TemporaryDirectory() as folder:
        kernels = compile_kernels(options, pathlib.Path(folder))
    text = table(kernels, release)
    broken = [problem for kernel in kernels for problem in problems(kernel)]
    if options.write and not broken:
        document = options.write.read_text()
        if not BLOCK.search(document):
            sys.exit(f"cuda_report: {options.write} has no block for it")
        block = f"<!-- kernels: written by tools/cuda_report.py -->\n{text}<!-- end of kernels -->\n"
        options.write.write_text(BLOCK.sub(lambda _: block, document, count=1))
    else:
        print(text)
    for problem in broken:
        print(problem)
    if not broken:
        print("no kernel but plain twins spills or uses local memory" if options.nvdisasm else "no kernel but plain twins spills")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
