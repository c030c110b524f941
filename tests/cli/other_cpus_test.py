"""The program on CPUs that this machine does not have, by QEMU's user mode: a forced instruction set shows which kernels run, and
only another CPU shows that nothing else needs more."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY, SANITIZED = sys.argv.pop(1), sys.argv.pop(1) == "sanitized"
QEMU = shutil.which("qemu-x86_64")
TEXTS = ["A great film, and a moving one.", "Dull and far too long.", "It begins well. " * 20]


@unittest.skipIf(QEMU is None, "SKIPPED: no qemu-x86_64 (Debian's qemu-user)")
@unittest.skipIf(SANITIZED, "SKIPPED: QEMU cannot run a sanitizer's address space")
class OtherCpus(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))

    def run_on(self, cpu, *arguments, **environment):
        """On `cpu` of QEMU; None = on this machine."""
        emulator = [] if cpu is None else [QEMU, "-cpu", cpu]
        full = os.environ | {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(self.folder)}
        full.pop("BREAKEVEN_ISA", None)  # the set that the tests run below may be more than `cpu` has
        full |= environment
        return subprocess.run([*emulator, BINARY, *arguments], capture_output=True, text=True, check=False,
                              cwd=self.folder, env=full)

    def labelled(self, cpu, precision, **environment):
        result = self.run_on(cpu, "classify", "--model", "builtin-narrow", "--precision", precision, "texts.txt", **environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_avx2_alone_gives_the_same_labels(self):
        for precision in ("fp32", "int8"):
            there = self.labelled("Haswell-noTSX", precision)
            here = self.labelled(None, precision, BREAKEVEN_ISA="avx2")
            self.assertEqual(len(there), len(TEXTS))
            for one, other in zip(there, here):
                self.assertEqual(one["label"], other["label"])
                for a, b in zip(one["logits"], other["logits"]):
                    self.assertAlmostEqual(a, b, delta=1e-5, msg=precision)

    def test_a_cap_above_the_cpu_is_an_error(self):
        result = self.run_on("Haswell-noTSX", "classify", "--model", "builtin-narrow", "texts.txt", BREAKEVEN_ISA="avx512_core")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("BREAKEVEN_ISA=avx512_core: this CPU has no avx512_core", result.stderr)
        self.assertIn("choose from avx2, or unset BREAKEVEN_ISA", result.stderr)

    def test_bf16_is_refused_where_it_would_be_emulated(self):
        result = self.run_on("Haswell-noTSX", "classify", "--model", "builtin-narrow", "--precision", "bf16", "texts.txt")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("bf16 would be emulated on avx2", result.stderr)

    def test_without_avx2_it_says_so(self):
        for cpu in ("Nehalem", "SandyBridge"):
            result = self.run_on(cpu, "classify", "--model", "builtin-narrow", "texts.txt")
            self.assertEqual((result.returncode, result.stdout), (2, ""), cpu)
            self.assertIn("this CPU has no AVX2 with FMA", result.stderr)
            tokens = self.run_on(cpu, "tokenize", "--model", "builtin-narrow", "texts.txt")
            self.assertEqual((tokens.returncode, len(tokens.stdout.splitlines())), (0, len(TEXTS)), tokens.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
