"""Training on several devices is training on one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repro import models
from repro.data.pairs import make_pairs
from repro.training import devices
from repro.training.devices import DistributedEngine
from repro.training.recipes import TrainingConfig

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("backend", "count"), [("jax", 2), ("tensorflow", 2)])
def test_twenty_steps_on_several_devices_and_after_a_kill_are_those_of_one(
    data_file, tmp_path, backend, count
):
    pytest.importorskip(backend)
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    script = Path(__file__).with_name("train_on_devices.py")
    for phase, status in ("killed", -signal.SIGKILL), ("whole", 0):
        command = [sys.executable, script, data_file, tmp_path, str(count), phase]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == status, run.stderr[-3000:]

    names = ["one", "all", "killed"] + ["scanned"] * (backend == "jax")
    one, *others = (np.load(tmp_path / name / "snapshot.npz") for name in names)
    assert one["optimizer_0"] == 20  # steps
    for other in others:
        for name in one.files[1:]:
            np.testing.assert_allclose(other[name], one[name], rtol=0, atol=1e-5, err_msg=name)


def engine(data, config):
    pairs = make_pairs(data, range(3), 4)
    return DistributedEngine(models.paper_unet(filters=2, levels=1), pairs, pairs, config)


def test_what_keras_cannot_distribute_is_refused_in_words(data, monkeypatch):
    config = TrainingConfig(batch_size=6)
    monkeypatch.setattr(devices, "all_devices", lambda: (None, 4))
    with pytest.raises(
        ValueError, match=r"4 devices cannot share a batch of 6 pairs equally: .* 4"
    ):
        engine(data, config)
    monkeypatch.undo()
    monkeypatch.setenv("TF_CONFIG", "{}")
    if devices.keras.backend.backend() == "tensorflow":
        with pytest.raises(ValueError, match="devices of one machine"):
            engine(data, config)
    monkeypatch.setattr(devices.keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="backend jax or tensorflow, not torch"):
        engine(data, config)
