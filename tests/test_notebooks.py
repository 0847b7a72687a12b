import pytest

from repro import models

nbformat = pytest.importorskip("nbformat")
execution = pytest.importorskip("repro.report.execution", exc_type=ImportError)
NOTEBOOKS = execution.notebooks()


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_three():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_what_it_shows_in_the_repository(path):
    committed = nbformat.read(path, as_version=4)
    executed = execution.execute(path)
    for before, after in zip(code_cells(committed), code_cells(executed), strict=True):
        assert kinds(before) == kinds(after), before.source


def kinds(cell) -> list:
    """Kinds of the outputs of a cell; a picture and the note that it is missing are alike."""
    return [output.output_type for output in cell.outputs if output.output_type != "display_data"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_clean(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        assert cell.execution_count, f"not executed: {cell.source}"
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text


def test_what_is_not_shipped_is_named(monkeypatch, tmp_path):
    notebook = pytest.importorskip("repro.report.notebook", exc_type=ImportError)
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "models")
    monkeypatch.setattr(notebook, "RESULTS", tmp_path)
    for shown in (
        notebook.verdict(),
        notebook.table("table1_grains"),
        notebook.figure("pareto"),
        notebook.prediction("paper"),
        notebook.comparison("paper"),
        notebook.architectures(),
    ):
        assert "**Missing: " in shown.data
