"""The notebooks of examples/ are executed from their first cell to their last, on the CPU where there is no GPU."""
import os
import pathlib
import sys
import tempfile
import unittest

import nbformat

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tools"))
import run_notebook  # noqa: E402


def kinds(cell):
    return [output.get("name", output.output_type) for output in cell.outputs]


@unittest.skipIf("BREAKEVEN_ISA" in os.environ, "SKIPPED: BREAKEVEN_ISA is set, and a notebook takes the machine as it is")
class Notebooks(unittest.TestCase):
    def test_each_runs_and_shows_outputs_of_one_run(self):
        paths = sorted((TREE / "examples").glob("*.ipynb"))
        self.assertTrue(paths)
        for path in paths:
            with self.subTest(notebook=path.name), tempfile.TemporaryDirectory() as folder:
                stored = nbformat.read(path, as_version=4)
                cells = [cell for cell in stored.cells if cell.cell_type == "code"]
                self.assertEqual([cell.execution_count for cell in cells], list(range(1, len(cells) + 1)), "tools/run_notebook.py writes the outputs")
                run = run_notebook.execute(nbformat.read(path, as_version=4), folder)
                for cell, again in zip(cells, (cell for cell in run.cells if cell.cell_type == "code")):
                    self.assertEqual(kinds(cell), kinds(again), cell.source)


if __name__ == "__main__":
    unittest.main(verbosity=2)
