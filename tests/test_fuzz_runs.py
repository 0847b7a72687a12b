"""Files of a run, damaged in every way: the right content or a named error, nothing else.

REPRO_FUZZ_EXAMPLES sets how many damages each test tries.
"""

import io
import json
import os
import zipfile
from contextlib import redirect_stdout

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import models
from repro.models import files as model_files
from repro.models import runs
from repro.models.files import ModelFileError
from repro.training import snapshot
from repro.training.snapshot import SnapshotError, TrainingState

EXAMPLES = int(os.environ.get("REPRO_FUZZ_EXAMPLES", "50"))
fuzz = settings(max_examples=EXAMPLES, deadline=None)
SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=3)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS)
IDENTITY = {"network": "paper_unet", "stride": 5}


@st.composite
def damaged_bytes(draw, content: bytes) -> bytes:
    """Some content with bits flipped, cut off, a part dropped, or a part written twice."""
    start, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    way = draw(st.sampled_from(["flip", "cut", "drop", "double"]))
    if way == "flip":
        mask = draw(st.integers(1, 255))
        changed = bytearray(content)
        for i in range(start, min(start + 3, len(content))):
            changed[i] ^= mask
        return bytes(changed)
    if way == "cut":
        return content[:start]
    return content[:start] + content[stop:] if way == "drop" else content[:stop] + content[start:]


@st.composite
def damaged_json(draw, content):
    """A JSON document with one of its values retyped or dropped, at any depth."""
    content = json.loads(json.dumps(content))
    node, inner = content, content
    while isinstance(inner, dict | list) and inner:
        node = inner
        key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        inner = node[key]
        if draw(st.booleans()) and draw(st.booleans()):
            break
    if draw(st.booleans()):
        del node[key]
    else:
        node[key] = draw(ANYTHING)
    return content


# --- Snapshots ----------------------------------------------------------------------------------


def state(epochs):
    arrays = [np.full((2, 3), epochs, np.float32), np.arange(4.0)]
    history = [
        {"epoch": i + 1, "mae_training": 1.0 + i, "mae_validation": 2.0 + i, "seconds": 1.0}
        for i in range(epochs)
    ]
    return TrainingState(arrays, [np.array(epochs)], arrays[::-1], history)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Directory with two snapshots, and the bytes of both."""
    directory = tmp_path_factory.mktemp("snapshots")
    for epochs in (1, 2):
        snapshot.save(directory, state(epochs), IDENTITY)
    names = (snapshot.NAME, snapshot.PREVIOUS)
    return directory, {name: (directory / name).read_bytes() for name in names}


def load_quietly(directory):
    with redirect_stdout(io.StringIO()):
        return snapshot.load(directory, IDENTITY)


def assert_is_one_that_was_saved(loaded):
    wanted = state(loaded.epoch)
    assert loaded.history == wanted.history
    for group in ("weights", "optimizer", "best_weights"):
        for got, array in zip(getattr(loaded, group), getattr(wanted, group), strict=True):
            np.testing.assert_array_equal(got, array)


@fuzz
@given(st.data())
def test_a_damaged_snapshot_gives_a_state_that_was_saved_or_a_named_error(saved, data):
    directory, contents = saved
    for name, content in contents.items():
        whole = data.draw(st.booleans()) and name == snapshot.PREVIOUS
        (directory / name).write_bytes(content if whole else data.draw(damaged_bytes(content)))
    try:
        loaded = load_quietly(directory)
    except SnapshotError as error:
        assert str(directory) in str(error)
    else:
        assert_is_one_that_was_saved(loaded)


@fuzz
@given(st.data())
def test_a_snapshot_whose_records_changed_is_read_or_refused(saved, data):
    directory, contents = saved
    (directory / snapshot.PREVIOUS).unlink(missing_ok=True)
    with np.load(io.BytesIO(contents[snapshot.NAME])) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    dropped = data.draw(st.sampled_from([None, None, *arrays]))
    if dropped:
        del arrays[dropped]
    else:
        meta = data.draw(damaged_json(meta))
    np.savez(directory / snapshot.NAME, meta=np.array(json.dumps(meta)), **arrays)
    try:
        loaded = load_quietly(directory)
    except SnapshotError as error:
        assert str(directory) in str(error)
    else:
        # What came through can be gone on with.
        assert dropped is None
        assert np.isfinite(loaded.best)
        assert 0 <= loaded.epochs_without_gain < 2


# --- Networks -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Path for damaged files, the content of a whole one, an input and its output."""
    path = tmp_path_factory.mktemp("networks") / "model.keras"
    keras.utils.set_random_seed(0)
    model = models.paper_unet(filters=1, levels=1, kernel=3)
    model_files.save(model, path)
    x = np.random.default_rng(0).uniform(0, 300, (1, 8, 8, 5)).astype(np.float32)
    return path, path.read_bytes(), x, np.asarray(model(x))


def loaded(path):
    """The network in a file, or None if it was refused in one line that names the file."""
    try:
        return models.load(path)
    except ModelFileError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return None


@fuzz
@given(st.data())
def test_a_damaged_network_gives_the_same_stress_or_a_named_error(network, data):
    path, content, x, y = network
    path.write_bytes(data.draw(damaged_bytes(content)))
    if (model := loaded(path)) is not None:
        np.testing.assert_array_equal(model(x), y)


@fuzz
@given(st.data())
def test_a_network_whose_configuration_changed_loads_or_is_refused(network, data):
    path, content, _, _ = network
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = data.draw(st.sampled_from(["config.json", "metadata.json"]))
    members[name] = json.dumps(data.draw(damaged_json(json.loads(members[name])))).encode()
    members.pop(data.draw(st.sampled_from([*members, None, None, None])), None)
    with zipfile.ZipFile(path, "w") as file:
        for name, member in members.items():
            file.writestr(name, member)
    if (model := loaded(path)) is not None:
        assert model.input_shape[-1] == 5


# --- Tables and records -------------------------------------------------------------------------

HISTORY = pd.DataFrame(state(3).history)
CONFIG = {**IDENTITY, "seed": 0, "split_hash": "abc", "epochs": 3}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A run directory as far as `run_of` reads it."""
    directory = tmp_path_factory.mktemp("records")
    (directory / models.BEST).touch()
    return directory


def assert_run_is_read_or_refused(directory):
    try:
        run = runs.run_of(directory / models.BEST)
    except ValueError as error:
        assert str(directory) in str(error)
    else:
        assert run.epochs >= 1
        assert run.stride is None or type(run.stride) is int


@fuzz
@given(st.data())
def test_a_damaged_history_is_read_or_refused_by_name(records, data):
    (records / runs.CONFIG).write_text(json.dumps(CONFIG))
    content = HISTORY.to_csv(index=False).encode()
    (records / runs.HISTORY).write_bytes(data.draw(damaged_bytes(content)))
    assert_run_is_read_or_refused(records)


@fuzz
@given(st.data())
def test_a_damaged_configuration_is_read_or_refused_by_name(records, data):
    HISTORY.to_csv(records / runs.HISTORY, index=False)
    if data.draw(st.booleans()):
        content = json.dumps(data.draw(damaged_json(CONFIG))).encode()
    else:
        content = data.draw(damaged_bytes(json.dumps(CONFIG).encode()))
    (records / runs.CONFIG).write_bytes(content)
    assert_run_is_read_or_refused(records)
