"""Execute the notebooks, as their outputs in the repository were made; needs nbclient."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def notebooks() -> list[Path]:
    """The notebooks of the project, in order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def execute(path) -> nbformat.NotebookNode:
    """Run a notebook from its beginning; returns it with its outputs, writes nothing.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": ROOT}},
    )
    return client.execute()
