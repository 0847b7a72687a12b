import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from repro import models
from repro.data import dataset
from repro.models.backend import keras
from repro.reference import Request, generate
from repro.tools import engine


@pytest.fixture(scope="session")
def data_file(tmp_path_factory) -> Path:
    """A data set of six small cells: the paper's in everything but size and number."""
    path = tmp_path_factory.mktemp("data") / "small.h5"
    generate(path, Request("paper", size=16), 6, progress=False)
    return path


@pytest.fixture(scope="session")
def data(data_file) -> dataset.DataSet:
    return dataset.read(data_file)


@pytest.fixture(scope="session")
def stepper_of_five(tmp_path_factory) -> str:
    """Run of an untrained network that steps five increments at once."""
    run = tmp_path_factory.mktemp("stepper") / "of_five"
    run.mkdir()
    keras.utils.set_random_seed(0)
    models.res_unet(filters=2, levels=1).save(run / "best.keras")
    (run / "config.json").write_text(json.dumps({"network": "res_unet", "stride": 5}))
    (run / "history.csv").write_text("epoch,mae_training,mae_validation,seconds\n1,9.0,9.0,1\n")
    return str(run)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def elsewhere(monkeypatch) -> list:
    """Let tasks for Dask cross to another process and back, but for the process; all of them."""
    tasks, run = [], engine.run

    def there(function, todo, dask=None, *rest):
        if dask != "elsewhere":
            return run(function, todo, dask, *rest)
        tasks.extend(todo)
        over = [pickle.loads(pickle.dumps((function, task))) for task in todo]
        return (pickle.loads(pickle.dumps(function(task))) for function, task in over)

    monkeypatch.setattr(engine, "run", there)
    return tasks
