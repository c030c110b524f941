"""What pipeline() says beside a made-up GPU: which package is missing, and what that one misses. No GPU is needed."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

TREE = pathlib.Path(__file__).resolve().parents[2]
ASK = """
import sys, warnings, breakeven
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    try:
        clf = breakeven.pipeline(model="builtin-narrow", device=sys.argv[1])
        print("runs", clf.info["device"], *(each.message for each in told))
    except breakeven.Error as error:
        print(error.code, error)
"""


@unittest.skipIf(os.path.exists("/dev/nvidia0"), "SKIPPED: there is a GPU")
class BesideAGpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        subprocess.run(["c++", "-std=c++20", "-shared", "-fPIC", "-o", self.folder / "libcuda.so.1", TREE / "tests/ops/cuda/fake_libcuda.cc"], check=True)

    def ask(self, device="cuda", **variables):
        environment = os.environ | {"LD_LIBRARY_PATH": str(self.folder), "FAKE_CUDA_GPUS": "1", "PYTHONPATH": str(self.folder)} | variables
        return subprocess.run([sys.executable, "-c", ASK, device], capture_output=True, text=True, check=True, env=environment, cwd="/").stdout

    def test_the_package_that_is_missing_is_named(self):
        said = self.ask()
        self.assertRegex(said, r"^device/no-engine .*a GPU was seen .*breakeven-cuda1[23], the engine for it, is not installed.*pip install 'breakeven\[cuda1[23]\]'")
        self.assertIn(os.path.dirname(os.path.dirname(__import__("breakeven").__file__)), said)
        self.assertRegex(self.ask("auto"), r"^runs cpu a GPU was seen .*the CPU alone is used: pip install")

    def test_the_engine_without_cublas_says_where_it_looked(self):
        wheels = sorted((TREE / "build" / "wheel" / "dist").glob("breakeven_cuda13-*.whl"))
        if not wheels:
            self.skipTest("SKIPPED: there is no breakeven-cuda13: tools/build_wheel --cuda makes one")
        with zipfile.ZipFile(wheels[-1]) as wheel:
            wheel.extractall(self.folder)
        said = self.ask(FAKE_CUDA_DRIVER="13000", BREAKEVEN_CUBLASLT="/no/such/libcublasLt.so.13")
        if said.startswith("device/plugin"):
            self.assertRegex(said, r"another build.*pip install --upgrade 'breakeven\[cuda13\]'")
            self.skipTest("SKIPPED: breakeven-cuda13 is of another build than the wheel: tools/build_wheel --cuda makes a new one")
        self.assertRegex(said, r"^device/no-cublas libcublasLt\.so\.13 cannot be loaded \(tried /no/such/libcublasLt\.so\.13\); pip install 'nvidia-cublas>=13,<14'")
        self.assertRegex(self.ask(FAKE_CUDA_DRIVER="12040"), r"^device/no-engine .*needs a driver of CUDA 13 \(580 or newer\).*12\.4.*breakeven\[cuda12\]")


if __name__ == "__main__":
    unittest.main(verbosity=2)
