from itertools import groupby
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MEBIBYTE = 2**20


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell) -> list:
    """Kinds of the outputs of a cell, but for what a machine has to say (fonts, drivers).

    What is printed may arrive in several parts.
    """
    found = [output.output_type for output in cell.outputs if output.get("name") != "stderr"]
    return [kind for kind, _ in groupby(found)]


def test_all_are_there_and_small():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 3 * MEBIBYTE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_what_it_shows_in_the_repository(path):
    committed = nbformat.read(path, as_version=4)
    executed = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(executed, timeout=600, resources=resources).execute()
    for before, after in zip(code_cells(committed), code_cells(executed), strict=True):
        assert kinds(before) == kinds(after), before.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_clean(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        assert cell.execution_count, f"not executed: {cell.source}"
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text
