import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repro import models
from repro.data.discretization import Discretization
from repro.experiments import shipping
from repro.models import runs
from repro.models.backend import keras
from repro.surrogate import registry, whole_path
from repro.training import run_directory, snapshot

SHIPPED = sorted(path.parent for path in models.SHIPPED.glob(f"*/{shipping.GOLDEN}"))
SHIPPED += sorted(path.parent for path in registry.SHIPPED.glob(f"*/{shipping.GOLDEN}"))


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


def test_a_surrogate_of_converged_fields_is_shipped_beside_the_other(run, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    for name in ("best", "last"):
        whole_path.whole_path(filters=2).save(run / f"{name}.keras")
    (run / "config.json").write_text('{"network": "whole_path"}')
    assert shipping.ship(run, best_only=True) == tmp_path / "whole_path"
    labels = {"derivative": "rotated", "points_per_pixel": 2}
    (run / "config.json").write_text(json.dumps({"network": "whole_path", "labels": labels}))
    target = shipping.ship(run, best_only=True)
    assert target == tmp_path / "whole_path_converged"
    shipped = replace(registry.SURROGATES[whole_path.TITLE], folder=target.name)
    assert shipped.labels == Discretization(**labels)
    assert shipping.golden_error(target) < 1e-3


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
