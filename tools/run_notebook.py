#!/usr/bin/env python3
"""Executes a notebook from its first cell to its last, in a fresh kernel of this Python, and writes its outputs into it.

usage: run_notebook.py NOTEBOOK.ipynb     tests/python/requirements.txt names what that needs
"""
import pathlib
import sys

import nbclient
import nbformat


def execute(notebook, folder):
    """-> the notebook with the outputs of this run; files that it writes go to `folder`. Raises CellExecutionError."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=None, record_timing=False, resources={"metadata": {"path": str(folder)}},
                                     coalesce_streams=True)
    client.execute()
    notebook.metadata.pop("language_info", None)  # of the machine that ran it last
    return notebook


def main():
    path = pathlib.Path(sys.argv[1])
    nbformat.write(execute(nbformat.read(path, as_version=4), path.parent), path)


if __name__ == "__main__":
    main()
