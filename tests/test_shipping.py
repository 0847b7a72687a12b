import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repro import models, surrogate
from repro.data.discretization import CONVERGED, Discretization
from repro.experiments import shipping
from repro.models import runs
from repro.models.backend import keras
from repro.models.normalization import TABLE_3_BOUNDS
from repro.training import run_directory, snapshot, trainer

SHIPPED = sorted(path.parent for path in models.SHIPPED.glob(f"*/{shipping.GOLDEN}"))


@pytest.fixture
def run(tmp_path):
    """The files of a run; only the network in it is real."""
    directory = tmp_path / "a_run"
    directory.mkdir()
    for file in runs.RESULT + run_directory.RESUMABLE:
        (directory / file).write_text("{}")
    keras.utils.set_random_seed(0)
    for name in ("best", "last"):
        models.paper_unet(filters=4).save(directory / f"{name}.keras")
    return directory


def test_shipped_model_loads_by_name_and_gives_its_golden_output(run, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "shipped")
    target = shipping.ship(run, "mine")
    assert target == tmp_path / "shipped" / "mine"
    x = shipping.golden_input()
    y = models.load("mine").predict(x, verbose=0)
    np.testing.assert_array_equal(y, models.load(run).predict(x, verbose=0))
    assert shipping.golden_error(target) < 1e-3
    assert (target / snapshot.NAME).is_file()


def test_a_run_of_an_older_version_ships_with_what_it_learned(run, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "shipped")
    for name in ("best", "last"):
        models.direct_prediction(filters=2, iterations=0).save(run / f"{name}.keras")
    labels = {"derivative": "rotated", "points_per_pixel": 2}
    config = {"network": "whole_path", "filters": 2, "labels": labels}
    (run / "config.json").write_text(json.dumps(config))
    (run / "history.csv").write_text("epoch,mae_training,mae_validation,seconds\n1,9.0,9.0,1\n")
    one = surrogate.load(shipping.ship(run, "mine", best_only=True))
    assert isinstance(one, surrogate.Direct) and one.run.network == "direct_prediction"
    assert one.labels == Discretization(**labels) and one.against == CONVERGED
    assert shipping.golden_error(tmp_path / "shipped" / "mine") < 1e-3


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_is_what_its_command_builds(directory):
    config = runs.read_config(directory)
    network = models.NETWORKS[config["network"]]
    options = {p.name: config[p.name] for p in network.options() if p.name in config}
    if network.takes_bounds:
        options["bounds"] = TABLE_3_BOUNDS
    assert trainer.architecture_hash(network(**options)) == config["architecture"]


def test_golden_error_sees_other_weights(run, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "shipped")
    target = shipping.ship(run, best_only=True)
    assert not (target / snapshot.NAME).exists()
    (run / "last.keras").replace(target / "best.keras")
    assert shipping.golden_error(target) > 1e-3


def test_incomplete_run_is_refused_by_name(run):
    (run / "history.csv").unlink()
    with pytest.raises(FileNotFoundError, match="lacks history.csv"):
        shipping.ship(run)


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.name)
def test_models_in_results_give_their_golden_output(directory):
    assert shipping.golden_error(directory) <= 1e-3


def test_models_in_results_give_the_same_on_jax():
    if not SHIPPED:
        pytest.skip("no model is shipped")
    code = (
        "import sys; from repro.experiments import shipping;"
        "print(max(shipping.golden_error(path) for path in sys.argv[1:]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *SHIPPED],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) <= 1e-3
