import os
import pickle
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from repro.data import dataset
from repro.reference import generation
from repro.tools import engine


@pytest.fixture(scope="session")
def data_file(tmp_path_factory) -> Path:
    """A data set of six small cells: the paper's in everything but size and number."""
    path = tmp_path_factory.mktemp("data") / "small.h5"
    generation.generate(path, count=6, size=16, progress=False)
    return path


@pytest.fixture(scope="session")
def data(data_file) -> dataset.DataSet:
    return dataset.read(data_file)


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
