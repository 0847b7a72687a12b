import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from repro import models, paper, reference
from repro.benchmarks import speed
from repro.data.pairs import make_pairs
from repro.evaluation import modes
from repro.models.backend import keras
from repro.report import reality, tables


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """Measurements on small cells, in this process."""
    path = tmp_path_factory.mktemp("speed") / "tiny.keras"
    keras.utils.set_random_seed(0)
    models.paper_unet(filters=2, levels=1, kernel=3).save(path)
    cells = [data.microstructure(i) for i in range(3)]
    rows = speed._measure_here([str(path)], cells, 1, repeats=1)
    return path, pd.DataFrame(rows)


def test_tighter_tolerances_are_more_accurate(measured):
    solver = measured[1].query("kind == 'solver'")
    assert len(solver) == len(speed.TOLERANCES)
    assert (np.diff(solver["mae"]) < 0).all()
    assert solver["default"].tolist() == [tol == reference.TOLERANCE for tol in speed.TOLERANCES]


def test_network_is_measured_on_its_rollout(measured, data):
    path, table = measured
    network = table.query("kind == 'network'")
    pairs = make_pairs(data, range(3), 1)
    predicted = modes.rollout(modes.network_predictor(models.load(path)), pairs)
    wanted = np.abs(predicted - modes.truth(pairs)).mean()
    np.testing.assert_allclose(network["mae"], wanted, rtol=1e-3)
    assert network["setting"].iloc[0] == "batch 1"
    assert (table["seconds"] > 0).all()


def test_recorded_damask_is_marked_and_agrees_with_the_reference_model():
    rows = pd.DataFrame(speed._recorded_damask())
    assert set(rows["origin"]) == {"recorded"}
    tight = rows.loc[rows["seconds"].idxmax()]
    assert tight["mae"] < 0.01
    assert rows["seconds"].between(10, 200).all()


def test_speed_table_and_verdict_compare_with_damask_and_the_solver():
    def row(contender, kind, seconds, default=False):
        return {
            "contender": contender, "kind": kind, "setting": "s", "default": default, "cores": 1,
            "seconds": seconds, "mae": 1e-3, "origin": "measured",
        }  # fmt: skip

    found = pd.DataFrame(
        [
            row("DAMASK", "solver", 30.0),
            row("reference model", "solver", 0.1, default=True),
            row("net", "network", 0.2),
        ]
    )
    table = tables.speed(found).set_index("")
    assert table.loc["net", "times faster than DAMASK"] == 150
    assert table.loc["net", "times faster than our RM"] == 0.5
    text = reality.speed(found)
    assert f"about {paper.SPEED_UP:.0f} times faster" in text
    assert "150 times faster than DAMASK, but 2.0 times slower than our reference model" in text
    assert "The most accurate network" not in text
    recorded = found.assign(origin=["recorded", "measured", "measured"])
    assert "than DAMASK (recorded on another machine), but" in reality.speed(recorded)
    assert "it is not compared with DAMASK, but" in reality.speed(found.iloc[1:])
    better = row("better", "network", 0.3) | {"mae": found["mae"].max() / 2}
    text = reality.speed(pd.concat([found, pd.DataFrame([better])]))
    assert "The most accurate network (better, s) takes 0.3 s" in text
    exact = row("exact", "solver", 0.25) | {"mae": 0.0}
    text = reality.speed(pd.concat([found, pd.DataFrame([better, exact])]))
    assert "The exact at s is more accurate than every network" in text


def test_one_core_means_one_core():
    before = os.sched_getaffinity(0)
    with speed._confined_to([min(before)]):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_damask_on_the_path_is_measured(data, monkeypatch):
    """DAMASK's part is played by our own solver, 1 MPa off."""
    cell = data.microstructure(0)
    sigma_vm = reference.simulate(cell).sigma_vm + 1
    monkeypatch.setattr(speed.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(speed.damask, "run", lambda directories, workers: {})
    monkeypatch.setattr(speed.dadf5, "find", lambda paths: paths)
    monkeypatch.setattr(speed.dadf5, "read", lambda path: SimpleNamespace(sigma_vm=sigma_vm))
    (row,) = speed.damask_rows([cell])
    assert (row["origin"], row["cores"], row["n"]) == ("measured", 1, 1)
    assert row["mae"] == pytest.approx(1, rel=1e-3)
    monkeypatch.setattr(speed.damask, "run", lambda directories, workers: {"0": "exit status 1"})
    with pytest.raises(ValueError, match="DAMASK failed: exit status 1"):
        speed.damask_rows([cell])
