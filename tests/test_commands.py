"""The commands as a user types them; `make run`'s path in miniature."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from repro import paper, train_advanced, train_baseline, train_paper
from repro.evaluation.results import KEYS
from repro.experiments import chain
from repro.tools import cli
from repro.training import snapshot
from repro.training.recipes import RECIPES
from repro.training.trainer import TrainingConfig


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
    miniature = {"count": 3, "epochs": 1, "stride": 20}
    code = (
        "from repro import experiment as e, train_paper;"
        f"e.PRESETS['quick'].update({miniature});"
        "train_paper.main(e.RunOptions('quick'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=base, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return base, run.stdout


def test_quick_run_verifies_trains_evaluates_and_draws(trained):
    base, output = trained
    out = base / "runs" / "quick" / "paper_unet"
    assert "grains a microstructure: 10 grains x 3" in output
    for name in ("best.keras", "last.keras", "history.csv", "config.json", "environment.json"):
        assert (out / name).is_file(), name
    for name in ("prediction.png", "learning_curve.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    results = pd.read_csv(out / "results.csv")
    assert set(results["model"]) == {"paper_unet", "persistence", "training mean", "Taylor"}
    assert set(results["mode"]) == {"one-step", "rollout"}
    assert set(results["split"]) == {"training", "validation"}
    assert results["value"].notna().all()
    page = (out / "RESULTS.md").read_text()
    assert f"| {paper.MAE_VALIDATION} |" in page


def test_evaluate_and_make_tables(trained):
    base, _ = trained
    table = base / "results.csv"
    arguments = ("--data", base / "data" / "quick.h5", "--results", table)
    run = command("evaluate", "--model", base / "runs" / "quick" / "paper_unet", *arguments)
    assert run.returncode == 0, run.stderr
    first = pd.read_csv(table)
    original = pd.read_csv(base / "runs" / "quick" / "paper_unet" / "results.csv")
    both = first.merge(original, on=KEYS)
    assert len(both) == len(original)
    assert both["value_x"].tolist() == pytest.approx(both["value_y"].tolist(), rel=1e-6)
    # Evaluating again replaces the rows.
    command("evaluate", "--model", base / "runs" / "quick" / "paper_unet", *arguments)
    assert len(pd.read_csv(table)) == len(first)
    run = command("make_tables", "--directory", base)
    assert run.returncode == 0, run.stderr
    wanted = f"| validation | {paper.MAE_VALIDATION} | paper_unet | 4 s |"
    assert wanted in (base / "RESULTS.md").read_text()
    assert command("make_tables", "--directory", base, "--check").returncode == 0


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
    run = command("evaluate", "--model", "nonsense", "--suite", "case1", "--directory", tmp_path)
    assert "no model nonsense" in last_error(run)
    assert not list(tmp_path.glob("*.h5*"))  # nothing was generated before
    run = command("generate_data", "--out", data_file)
    assert f"{data_file} exists" in last_error(run)
    run = command("train_paper", "--data", tmp_path / "typo.h5", "--out", tmp_path / "run")
    assert "typo.h5: no such file" in last_error(run)
    run = command("train_paper", "--data", tmp_path, "--out", tmp_path / "run")
    assert f"{tmp_path}: a folder" in last_error(run)
    run = command("train_paper", "--data", data_file, "--out", text)
    assert "notes.txt is a file: choose another --out" in last_error(run)


def test_the_example_of_the_readme_runs(capsys):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(example, {})
    error, *unit = capsys.readouterr().out.splitlines()[-1].split()
    assert float(error) < 10
    assert unit == ["MPa", "off"]


def test_a_stride_is_refused_before_data_is_generated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="stride 7 does not divide the 20 increments"):
        train_paper.main(chain.RunOptions("quick", stride=7))
    assert not (tmp_path / "data").exists()


def test_ctrl_c_ends_in_one_word(monkeypatch, capsys):
    def main():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("command", "network", "config"),
    [
        (train_paper, "paper_unet", TrainingConfig(batch_size=8, learning_rate=1e-3)),
        (train_baseline, "baseline_unet", TrainingConfig(learning_rate=1e-4, patience=10)),
        (train_advanced, "res_unet", RECIPES["res_unet"]),
    ],
)
def test_default_runs_are_at_full_scale(data, monkeypatch, command, network, config):
    seen = {}

    def train(model, training, validation, config, out, *_, **__):
        seen.update(model=model, stride=training.stride, config=config, out=out)
        return snapshot.TrainingState([], [], [], [])

    monkeypatch.setattr(chain.generation, "generate", lambda path, count: seen.update(count=count))
    monkeypatch.setattr(chain.dataset, "read", lambda path: data)
    monkeypatch.setattr(chain.training, "train", train)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    command.main()
    assert seen["model"].name == network
    assert (seen["count"], seen["stride"]) == (1000, 1)
    assert seen["config"] == replace(config, epochs=500)
    assert seen["out"] == Path("runs", network)


def test_variants_of_the_papers_network_are_named(monkeypatch):
    seen = []
    monkeypatch.setattr(
        train_paper, "train_and_evaluate", lambda *_, **variant: seen.append(variant)
    )
    train_paper.main()
    train_paper.main(separable=False, bias=True, relu_first=True)
    assert seen == [{}, {"separable": False, "bias": True, "relu_first": True}]
