"""Files that are damaged at random: the right result or a named error, never anything else.

REPRO_FUZZ_EXAMPLES says how many files are tried in all, 400 by default:

    REPRO_FUZZ_EXAMPLES=10000 python -m pytest tests/test_fuzz_files.py
"""

import faulthandler
import functools
import io
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from damask_files import PAPER, increments, read_text, results, write_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.damask import dadf5, earlier_replication, exchange
from repro.damask.dadf5 import DADF5Error
from repro.damask.earlier_replication import ReplicationError
from repro.damask.setup import SetupError
from repro.data import checks, dataset
from repro.data.dataset import DataSetError

HANG = 120  # s for one file, which takes a tenth of a second
TESTS = 6  # that share the examples
trial = settings(
    max_examples=max(1, int(os.environ.get("REPRO_FUZZ_EXAMPLES", "400")) // TESTS),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def no_hang(test):
    """End the run if one file takes too long: HDF5 cannot be interrupted otherwise."""

    @functools.wraps(test)
    def watched(**arguments):
        faulthandler.dump_traceback_later(HANG, exit=True)
        try:
            test(**arguments)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return watched


# --- Damage to bytes ----------------------------------------------------------------------

PLACE = st.floats(0, 1, exclude_max=True)
DAMAGE = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), PLACE, st.integers(0, 7)),
        st.tuples(st.just("write"), PLACE, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("cut"), PLACE, st.just(None)),
        st.tuples(st.just("drop"), PLACE, st.integers(1, 64)),
        st.tuples(st.just("repeat"), PLACE, st.integers(1, 64)),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, damage) -> bytes:
    content = bytearray(content)
    for kind, place, what in damage:
        at = int(place * len(content))
        if kind == "flip" and content:
            content[at] ^= 1 << what
        elif kind == "write":
            content[at : at + len(what)] = what
        elif kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + what]
        elif kind == "repeat":
            content[at:at] = content[at : at + what]
    return bytes(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def simulation(folder) -> Path:
    """A DADF5 file without what is not read, so that damage hits what is."""
    path = folder / "small.hdf5"
    with h5py.File(results(PAPER)) as whole, h5py.File(path, "w") as file:
        file.attrs.update(whole.attrs)
        for name in ("geometry", "cell_to", "setup"):
            whole.copy(name, file)
        for name in increments(whole):
            file.create_group(name).attrs.update(whole[name].attrs)
            for phase, group in whole[name]["phase"].items():
                for field in "FP":
                    place = f"{name}/phase/{phase}/mechanical/{field}"
                    file[place] = group["mechanical"][field][()]
    return path


@pytest.fixture(scope="module")
def stress(simulation) -> np.ndarray:
    return dadf5.read(simulation).sigma_vm


def read_plainly(path) -> np.ndarray:
    """sigma_vM of a DADF5 file, read point by point."""
    with h5py.File(path) as file:
        mapping = file["cell_to/phase"][()].ravel()
        N = int(file["geometry"].attrs["cells"][0])
        stress = []
        for name in sorted((k for k in file if k.startswith("increment_")), key=len):
            fields = {field: np.empty((N, N, 3, 3)) for field in "FP"}
            for i, (label, row) in enumerate(mapping):
                for field, values in fields.items():
                    place = file[name]["phase"][label]["mechanical"][field]
                    values[i % N, i // N] = place[int(row)]
            T = dadf5.cauchy_stress(fields["F"], fields["P"] / 1e6)
            stress.append(dadf5.von_mises(T))
    return np.stack(stress)


@trial
@given(damage=DAMAGE)
@no_hang
def test_bytes_of_dadf5(folder, simulation, stress, damage):
    path = folder / "damaged.hdf5"
    path.write_bytes(damaged(simulation.read_bytes(), damage))
    try:
        found = exchange.data_set(dadf5.read(path)).sigma_vm[0]
    except (DADF5Error, SetupError, ValueError) as error:
        assert type(error) is not ValueError or "grain" in str(error)
        return
    if not np.allclose(found, stress, rtol=1e-6):
        # DADF5 has no checksums: what differs must differ in the file.
        np.testing.assert_allclose(found, read_plainly(path), rtol=1e-6)


TEXT_DAMAGE = st.tuples(st.sampled_from(["material.yaml", "load.yaml", "tight.yaml"]), DAMAGE)


@trial
@given(damage=TEXT_DAMAGE)
@no_hang
def test_input_files_in_dadf5(folder, simulation, stress, damage):
    path = folder / "damaged.hdf5"
    path.write_bytes(simulation.read_bytes())
    name, edits = damage
    with h5py.File(path, "a") as file:
        content = damaged(read_text(file, name).encode(), edits).replace(b"\0", b"?")
        write_text(file, name, content or b" ")
    try:
        found = dadf5.read(path)
        data = exchange.data_set(found)
    except (DADF5Error, SetupError, DataSetError):
        return
    except ValueError as error:  # a property that no material has
        assert " of grain " in str(error)
        return
    np.testing.assert_array_equal(found.sigma_vm, stress)
    assert np.isfinite(data.properties).all() and len(checks.verify(data))


# --- Damage to the tree of an HDF5 file ---------------------------------------------------

CHANGES = ("drop", "group", "text", "float32", "int", "complex", "big", "cut", "flat", "empty")
TREE = st.lists(st.tuples(PLACE, st.sampled_from(CHANGES)), min_size=1, max_size=2)


def change_tree(file, changes) -> None:
    """Drop or retype objects and attributes, each once: values are kept as far as types can."""
    done = set()
    for place, change in changes:
        names, attributes = [], []
        file.visititems(lambda name, item: names.append(name))  # noqa: B023
        for name in ["/", *names]:
            attributes += [(name, key) for key in file[name].attrs]
        things = [*names, *attributes]
        thing = things[int(place * len(things))] if things else None
        if thing is None or thing in done:
            return
        done.add(thing)
        if isinstance(thing, tuple):
            change_attribute(file[thing[0]].attrs, thing[1], change)
        else:
            change_object(file, thing, change)


def change_attribute(attributes, key, change):
    value = np.asarray(attributes[key])
    del attributes[key]
    if change != "drop":
        attributes[key] = changed(value, change)


def change_object(file, name, change):
    item = file[name]
    value = item[()] if isinstance(item, h5py.Dataset) else None
    del item, file[name]
    if change == "group" or (value is None and change != "drop"):
        file.create_group(name)
    elif change != "drop":
        file[name] = changed(value, change)


def changed(value, change):
    if change in ("text", "group"):
        return np.array([b"text"])
    if value.dtype.kind not in "iuf":  # text, or the mapping of DADF5
        value = np.char.encode(value.astype("U"), "utf-8") if value.dtype.kind in "UO" else value
        return value[:-1] if value.ndim else value
    types = {"float32": np.float32, "int": np.int64, "complex": np.complex128}
    if change in types:
        return value.astype(types[change])
    return {
        "big": lambda: value.astype(value.dtype.newbyteorder(">")),
        "cut": lambda: value[:-1] if value.ndim else value,
        "flat": lambda: value.ravel(),
        "empty": lambda: value[:0] if value.ndim else value,
    }[change]()


@trial
@given(changes=TREE)
@no_hang
def test_tree_of_dadf5(folder, simulation, stress, changes):
    path = folder / "damaged.hdf5"
    path.write_bytes(simulation.read_bytes())
    with h5py.File(path, "a") as file:
        change_tree(file, changes)
    try:
        data = exchange.data_set(dadf5.read(path))
    except (DADF5Error, SetupError, DataSetError):
        return
    np.testing.assert_allclose(data.sigma_vm[0], stress, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(data.time, np.arange(5.0))


@pytest.fixture(scope="module")
def data_path(folder, data) -> Path:
    """With the attributes of imported data."""
    path = folder / "data.h5"
    solved = {"solved_time": data.time, "solved_F11": data.F11}
    law = {"n": 20.0, "dilatation": False, "hardening_left": 1.0}
    dataset.write(path, replace(data, attributes=data.attributes | solved | law))
    return path


def same(one, other, rtol=0.0) -> bool:
    arrays = ("grain_id", "properties", "time", "F11", "sigma_vm", "P_mean", "seed")
    pairs = [(getattr(one, name), getattr(other, name)) for name in arrays]
    return all(a.shape == b.shape and np.allclose(a, b, rtol=rtol, atol=0) for a, b in pairs)


@trial
@given(damage=DAMAGE)
@no_hang
def test_bytes_of_data_set(folder, data_path, data, damage):
    path = folder / "damaged.h5"
    path.write_bytes(damaged(data_path.read_bytes(), damage))
    try:
        found = dataset.read(path)
    except DataSetError:
        return
    assert same(found, data) and found.attributes["suite"] == "paper"


@trial
@given(changes=TREE)
@no_hang
def test_tree_of_data_set(folder, data_path, data, changes):
    path = folder / "damaged.h5"
    path.write_bytes(data_path.read_bytes())
    with h5py.File(path, "a") as file:
        change_tree(file, changes)
    try:
        found = dataset.read(path)
    except DataSetError:
        return
    assert same(found, data, rtol=1e-6)
    assert len(checks.verify(found))


# --- Arrays of an earlier replication -----------------------------------------------------


def npy(content) -> bytes:
    file = io.BytesIO()
    np.save(file, content, allow_pickle=True)
    return file.getvalue()


PICKLED = np.empty((), dtype=object)
PICKLED[()] = {"E": np.arange(3.0), "nu": [0.2, 0.3, 0.4]}
ARRAYS = (
    npy(np.arange(16).reshape(4, 4)),
    npy(np.random.default_rng(0).random((4, 4, 5)).astype(np.float32)),
    npy(PICKLED),
    npy(np.array(["text"])),
)


@trial
@given(content=st.sampled_from(ARRAYS), damage=DAMAGE)
@no_hang
def test_bytes_of_npy(folder, content, damage):
    path = folder / "damaged.npy"
    path.write_bytes(damaged(content, damage))
    try:
        found = earlier_replication.load_npy(path)
    except ReplicationError:
        return
    if isinstance(found, np.ndarray) and not found.dtype.hasobject:
        np.testing.assert_array_equal(found, np.load(path))
