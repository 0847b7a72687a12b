"""The commands as a user types them; `make run`'s path in miniature."""

import subprocess
import sys

import pandas as pd
import pytest

from repro import paper, train_paper
from repro.training import TrainingConfig


def command(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"repro.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def last_error(run):
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A quick run that generates its data, on cells of 64 pixels."""
    base = tmp_path_factory.mktemp("quick")
    miniature = {"microstructures": 3, "epochs": 1, "stride": 20}
    code = f"from repro import train_paper as t; t.QUICK.update({miniature}); t.main('quick')"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=base, capture_output=True, text=True,
        env={**__import__("os").environ, "PYTHONPATH": str(paper.__file__).rsplit("/repro/", 1)[0]},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return base, run.stdout


def test_quick_run_verifies_trains_evaluates_and_draws(trained):
    base, output = trained
    out = base / "runs" / "quick"
    assert "grains a microstructure: 10 grains x 3" in output
    for name in ("best.keras", "last.keras", "history.csv", "config.json", "environment.json"):
        assert (out / name).is_file(), name
    for name in ("prediction.png", "learning_curve.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    results = pd.read_csv(out / "results.csv")
    assert set(results["model"]) == {"quick", "persistence"}
    assert set(results["mode"]) == {"one-step", "rollout"}
    assert set(results["split"]) == {"training", "validation"}
    assert results["value"].notna().all()
    page = (out / "RESULTS.md").read_text()
    assert f"| {paper.MAE_VALIDATION} |" in page


def test_evaluate_and_make_tables(trained):
    base, _ = trained
    table = base / "results.csv"
    arguments = ("--data", base / "data" / "quick.h5", "--results", table)
    run = command("evaluate", "--model", base / "runs" / "quick", *arguments)
    assert run.returncode == 0, run.stderr
    first = pd.read_csv(table)
    original = pd.read_csv(base / "runs" / "quick" / "results.csv")
    assert first["value"].tolist() == pytest.approx(original["value"].tolist(), rel=1e-6)
    # Evaluating again replaces the rows.
    command("evaluate", "--model", base / "runs" / "quick", *arguments)
    assert len(pd.read_csv(table)) == len(first)
    run = command("make_tables", "--results", table)
    assert run.returncode == 0, run.stderr
    assert "| quick | paper | validation | rollout | 20 |" in (base / "RESULTS.md").read_text()


def test_verify_data_judges_by_exit_status(data_file):
    run = command("verify_data", data_file)
    assert run.returncode == 1
    assert "FAIL pixels" in run.stdout


def test_wrong_inputs_end_in_one_line(data_file, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no data")
    assert "notes.txt: not a readable HDF5 file" in last_error(command("verify_data", text))
    run = command("train_paper", "--data", text, "--out", tmp_path)
    assert "notes.txt: not a readable HDF5 file" in last_error(run)
    run = command("train_paper", "--data", data_file, "--stride", 3, "--out", tmp_path)
    assert "stride 3 does not divide the 20 increments" in last_error(run)
    run = command("evaluate", "--model", "nonsense", "--data", data_file)
    assert "no model nonsense" in last_error(run)
    run = command("generate_data", "--out", data_file)
    assert f"{data_file} exists" in last_error(run)


def test_default_run_is_the_papers(monkeypatch):
    seen = {}
    monkeypatch.setattr(train_paper, "load_or_generate", lambda *a: seen.update(data=a))
    monkeypatch.setattr(train_paper, "train_and_evaluate", lambda *a: seen.update(run=a))
    train_paper.main()
    assert seen["data"][1] == 1000
    network, _, _, config, stride, *_ = seen["run"]
    assert (network, stride) == ("paper_unet", 1)
    assert config == TrainingConfig(epochs=500, batch_size=8, learning_rate=1e-3)
    assert config.patience is None
