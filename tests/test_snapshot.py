import json

import numpy as np
import pytest

from repro.training import snapshot
from repro.training.snapshot import SnapshotError, TrainingState

IDENTITY = {"network": "paper_unet", "stride": 5}


def state(epochs: int) -> TrainingState:
    arrays = [np.full((2, 3), epochs), np.arange(4.0)]
    history = [{"epoch": i, "mae_validation": abs(i - 2.0)} for i in range(epochs)]
    return TrainingState(arrays, [np.array(7)], arrays[::-1], history)


@pytest.fixture
def directory(tmp_path):
    for epochs in (2, 3):
        snapshot.save(tmp_path, state(epochs), IDENTITY)
    return tmp_path


def test_loads_what_was_saved(directory):
    loaded = snapshot.load(directory, IDENTITY)
    assert loaded.history == state(3).history
    for group in ("weights", "optimizer", "best_weights"):
        for got, wanted in zip(getattr(loaded, group), getattr(state(3), group), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_no_snapshot_is_none(tmp_path):
    assert snapshot.load(tmp_path, IDENTITY) is None


def test_best_and_gain_follow_from_the_history():
    assert state(5).best == 0
    assert state(5).epochs_without_gain == 2
    assert (state(0).best, state(0).epochs_without_gain) == (np.inf, 0)


@pytest.mark.parametrize("call", ["numpy.savez", "os.link", "pathlib.Path.replace"])
def test_a_kill_inside_a_save_loses_nothing(directory, monkeypatch, call):
    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(call, die)
    with pytest.raises(KeyboardInterrupt):
        snapshot.save(directory, state(4), IDENTITY)
    assert snapshot.load(directory, IDENTITY).epoch == 3


def test_a_damaged_snapshot_falls_back_to_the_one_before(directory, capsys):
    path = directory / snapshot.NAME
    path.write_bytes(path.read_bytes()[:-200])
    assert snapshot.load(directory, IDENTITY).epoch == 2
    assert "snapshot.npz is damaged" in capsys.readouterr().out

    (directory / snapshot.PREVIOUS).write_text("no snapshot")
    with pytest.raises(SnapshotError, match="every snapshot is damaged: remove it"):
        snapshot.load(directory, IDENTITY)


def test_a_foreign_snapshot_is_refused_by_name(directory):
    with pytest.raises(SnapshotError, match="a run with stride = 5, not 1: choose another --out"):
        snapshot.load(directory, {**IDENTITY, "stride": 1})
    with pytest.raises(SnapshotError, match="split_hash = None, not abc"):
        snapshot.load(directory, {**IDENTITY, "split_hash": "abc"})


def test_a_snapshot_with_pickled_objects_is_not_read(directory):
    meta = json.dumps({"identity": IDENTITY, "history": []})
    for name in (snapshot.NAME, snapshot.PREVIOUS):
        np.savez(directory / name, meta=np.array(meta), weights_0=np.array([object()]))
    with pytest.raises(SnapshotError, match="damaged"):
        snapshot.load(directory, IDENTITY)
