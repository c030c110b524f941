"""tools/cuda_report.py on what ptxas, nvcc and nvdisasm wrote for made-up kernels."""
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import cuda_report  # noqa: E402

PTXAS = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4fast' for 'sm_90a'
ptxas info    : Function properties for _Z4fast
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 140 registers, used 1 barriers, 512 bytes smem, 416 bytes cmem[0]
ptxas info    : Compiling entry function '_Z4slow' for 'sm_90a'
ptxas warning : Registers are spilled to local memory in function '_Z4slow', 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Function properties for _Z4slow
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 72 registers, used 0 barriers, 8 bytes cumulative stack size
"""
PTX = """.visible .entry _Z4fast(
\t.param .align 8 .b8 _Z4fast_param_0[64]
)
.maxntid 128, 1, 1
{ ret; }
.visible .entry _Z4slow(
\t.param .align 8 .b8 _Z4slow_param_0[64]
)
.maxntid 256
.minnctapersm 1
{ ret; }
"""
SASS = """\t.section\t.text._Z4fast,"ax",@progbits
        /*0ea0*/              @!P0 LDSM.16.M88.4 R28, [R78] ;
        /*0eb0*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0ec0*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0ed0*/                   IADD3 R1, R1, 0x8, RZ ;
\t.section\t.text._Z4slow,"ax",@progbits
        /*0010*/                   STL [R1], R4 ;
        /*0020*/              @P1  LDL.LU R4, [R1] ;
        /*0030*/                   LDG.E R4, [R2.64] ;
"""


def kernel(name, arch="90a", **values):
    return cuda_report.Kernel(name, arch, threads=128, local=0, **values)


class CudaReport(unittest.TestCase):
    def test_what_ptxas_says(self):
        found = cuda_report.parse_ptxas(PTXAS, "90a")
        fast, slow = found["_Z4fast"], found["_Z4slow"]
        self.assertEqual((fast.registers, fast.static_shared, fast.spilled, fast.stack), (140, 512, 0, 0))
        self.assertEqual((slow.registers, slow.static_shared, slow.spilled, slow.stack), (72, 0, 28, 8))

    def test_threads_of_a_block(self):
        self.assertEqual(cuda_report.parse_threads(PTX), {"_Z4fast": 128, "_Z4slow": 256})

    def test_what_the_machine_code_holds(self):
        self.assertEqual(cuda_report.parse_sass(SASS), {"_Z4fast": {"LDSM": 1, "HMMA": 2}, "_Z4slow": {"STL": 1, "LDL": 1}})

    def test_both_compilers_name_a_kernel_alike(self):
        host = "breakeven::ops::cuda::FlashAttention<breakeven::ops::cuda::Half, 64>"
        device = ("void breakeven::ops::cuda::run_kernel<breakeven::ops::cuda::FlashAttention<breakeven::ops::cuda::Half, 64u> >"
                  "(breakeven::ops::cuda::FlashAttention<breakeven::ops::cuda::Half, 64u>)")
        self.assertEqual(cuda_report.readable(host), "FlashAttention<Half, 64>")
        self.assertEqual(cuda_report.readable(device), "FlashAttention<Half, 64>")

    def test_occupancy_is_what_nvidias_calculator_says(self):
        # cuda_occupancy.h of CUDA 13.0: threads, registers, shared memory -> resident warps of all.
        for arch, threads, registers, shared, warps, of in (
                ("75", 128, 64, 0, 32, 32), ("75", 128, 142, 40960, 4, 32), ("75", 256, 70, 20480, 24, 32),
                ("75", 128, 86, 0, 20, 32), ("80", 128, 140, 40960, 12, 64), ("86", 256, 32, 0, 48, 48), ("86", 64, 16, 0, 32, 48),
                ("89", 128, 40, 30720, 12, 48), ("90a", 128, 140, 40960, 12, 64), ("90a", 256, 32, 20480, 64, 64),
                ("90a", 128, 62, 0, 32, 64), ("90a", 1024, 64, 0, 32, 64)):
            with self.subTest(arch=arch, threads=threads, registers=registers, shared=shared):
                self.assertEqual(cuda_report.occupancy(arch, threads, registers, shared), warps / of)

    def test_what_fails(self):
        matrix = {"HMMA": 64, "LDSM": 36}
        self.assertEqual(cuda_report.problems(kernel("FlashAttention<Half, 64>", matrix=matrix)), [])
        self.assertEqual(cuda_report.problems(kernel("FlashAttention<Half, 64>", matrix={"HMMA": 64})),
                         ["sm_90a FlashAttention<Half, 64>: no LDSM"])
        self.assertEqual(cuda_report.problems(kernel("FlashAttention<Bf16, 64>", arch="75")), [], "no bf16 there")
        spilling = kernel("ResidualNorm<float, float>", spilled=28, stack=8)
        spilling.local = 7
        self.assertEqual(len(cuda_report.problems(spilling)), 3)
        spilling.name = "Plain" + spilling.name
        self.assertEqual(cuda_report.problems(spilling), [])

    def test_the_table(self):
        kernels = [kernel("Head<Half>", arch=arch, registers=20) for arch in ("75", "90a")] + [kernel("PlainGemm<Half>")]
        text = cuda_report.table(kernels, "13.0.88")
        self.assertIn("| `Head<Half>` | 128 | 0 | 20 | 100 % |  | 20 | 100 % |  |\n", text)
        self.assertNotIn("PlainGemm", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
