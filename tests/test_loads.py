"""Loads other than stretching, from a suite to the rows of a result."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from repro import models, surrogate
from repro.data import microstructure as ms
from repro.data.load import Load
from repro.data.pairs import make_pairs
from repro.data.suites import SUITES, Suite
from repro.evaluation import campaign, results
from repro.models.backend import keras
from repro.report import tables
from repro.training import trainer
from repro.training.recipes import TrainingConfig

LOADS = {
    "load and unload": Load.through((1.004, 1.001), 5),
    "compression": Load.stretch(0.996, 10),
}


@pytest.fixture(params=LOADS)
def suite(request, monkeypatch):
    """A suite of a user, registered as one entry."""
    entry = Suite(request.param, ms.polycrystal, 99, count=4, size=8, load=LOADS[request.param])
    monkeypatch.setitem(SUITES, request.param, entry)
    return request.param


def test_from_suite_to_rows(suite, data_file, tmp_path, elsewhere):
    """Generated, trained on, evaluated beside the naive references, tabulated."""
    (tmp_path / "paper.h5").write_bytes(data_file.read_bytes())
    data = campaign.load_suite(suite, tmp_path)
    load = LOADS[suite]
    assert data.load.same_as(load)
    assert (tmp_path / f"{suite}.h5").is_file()

    pairs = make_pairs(data, range(4), stride=2)
    keras.utils.set_random_seed(0)
    network = models.paper_unet(filters=2, levels=1, kernel=3)
    config = TrainingConfig(epochs=1, batch_size=4)
    about = {"network": "paper_unet", "stride": 2}
    run = tmp_path / "run"
    trainer.train(network, pairs, pairs, config, run, about, progress=False)

    table = tmp_path / "results.csv"
    campaign.evaluate_suites(surrogate.load(run), [suite], tmp_path, table, dask="elsewhere")
    assert elsewhere == [suite]
    rows = results.read_rows(table)
    own = results.select(rows, model="run", suite=suite, mode="one-step", metric="MAE", F11=True)
    assert own["increment"].tolist() == [2, 4, 6, 8, 10]
    np.testing.assert_allclose(own["F11"], load.F11[2::2])
    assert np.isfinite(own["value"]).all()
    of_suite = rows[rows["suite"] == suite]
    assert set(of_suite["model"]) == {
        "run",
        "persistence",
        "linear extrapolation",
        "Taylor",
        "reference model",
    }, "the mean over data under another load is no reference"
    assert not of_suite.duplicated(results.KEYS).any()
    assert suite in set(tables.errors(rows)["suite"])


def test_own_data_under_another_load_is_checked_and_evaluated(suite, tmp_path):
    data = campaign.load_suite(suite, tmp_path)
    own = dataclasses.replace(data, attributes={"M": 1.0, "h": 3.0})
    path = tmp_path / "tiny.keras"
    models.paper_unet(filters=2, levels=1, kernel=3).save(path)
    rows = campaign.evaluate_data(surrogate.load(path), own, tmp_path / "results.csv")
    assert set(rows["split"]) == {"training", "validation"}
    failed = {
        c.question for c in campaign.read_checks(tmp_path / "data_checks.csv") if not c.passed
    }
    assert {"loading rate", "final stretch F11"} & failed
    histogram = pd.read_csv(tmp_path / "histogram.csv")
    stretches = histogram.loc[histogram["quantity"] == "sigma_vm", "F11"].unique()
    assert stretches.tolist() == ([] if suite == "compression" else [1.001, 1.0022, 1.004])
