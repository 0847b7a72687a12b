import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from repro.data import dataset
from repro.reference import generation


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
