"""Value classes: they own their arrays, refuse missing values, and are compared by content."""

import copy
import dataclasses
import importlib
import pickle
import pkgutil

import numpy as np
import pytest

import repro
from repro import reference
from repro.data import microstructure as ms
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.data.pairs import Pairs
from repro.tools.values import Value

PRIVATE = {"TrainingState"}  # lists of weights, which training replaces whole


def classes_with_arrays() -> dict[str, type]:
    """All dataclasses of the project with a field that is an array, by name."""
    found = {}
    for module in pkgutil.walk_packages(repro.__path__, "repro."):
        if (module.name.count(".") == 1 and not module.ispkg) or module.name.endswith("__main__"):
            continue  # commands hold no values
        for name, one in vars(importlib.import_module(module.name)).items():
            if isinstance(one, type) and dataclasses.is_dataclass(one):
                kinds = [str(field.type) for field in dataclasses.fields(one)]
                if (
                    any("ndarray" in kind and "Callable" not in kind for kind in kinds)
                    and one.__module__ == module.name
                ):
                    found[name] = one
    return {name: one for name, one in found.items() if name not in PRIVATE}


CLASSES = classes_with_arrays()


def test_the_public_ones_are_among_them():
    names = {"Microstructure", "Load", "DataSet", "Trajectory", "Pairs", "Answer", "Calibration"}
    assert names <= set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_with_arrays_is_a_value(name):
    one = CLASSES[name]
    assert issubclass(one, Value)
    assert one.__eq__ is Value.__eq__ and one.__hash__ is Value.__hash__
    assert one.COPIES or "view" in one.__doc__ or "view" in one.__base__.__doc__


def examples() -> list[Value]:
    cell = ms.polycrystal(ms.generator(0), 3, 4)
    path = reference.Trajectory(Load.stretch(), *(np.ones(2) for _ in range(5)))
    return [cell, Load.stretch(), path, Pairs(np.ones((1, 2, 2, 4)), np.ones((1, 3, 2, 2)), 1)]


@pytest.mark.parametrize(
    "made", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_arrays_are_read_only_also_of_copies(made):
    for value in map(made, examples()):
        for field in dataclasses.fields(value):
            array = getattr(value, field.name)
            if isinstance(array, np.ndarray):
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0


def test_values_are_equal_by_content_and_can_be_counted():
    for one, other in zip(examples(), examples(), strict=True):
        assert one == other and hash(one) == hash(other)
        assert one in [other] and len({one, other}) == 1
        assert one != "something else"
    a, b = (ms.polycrystal(ms.generator(seed), 3, 4) for seed in (0, 1))
    assert a != b and len({a, b}) == 2


def test_equal_numbers_of_other_types_have_the_same_hash():
    small, large = (Microstructure(np.zeros((2, 2), kind), [[100, 0.3, 100, 0]]) for kind in "Bq")
    negative = Microstructure(np.zeros((2, 2), int), [[100, 0.3, 100, -0.0]])
    assert small == large == negative
    assert len({small, large, negative}) == 1


def test_a_property_sweep_with_one_array_gives_three_cells():
    properties, cells = np.array([[100.0, 0.3, 100.0, 10.0]]), []
    for E in (100, 150, 200):
        properties[0, 0] = E
        cells.append(Microstructure(np.zeros((2, 2), int), properties))
    properties[0, 1] = 0.7
    assert [cell.properties[0, 0] for cell in cells] == [100, 150, 200]
    assert {cell.properties[0, 1] for cell in cells} == {0.3}


def test_arrays_that_nobody_can_change_are_not_copied():
    cell = ms.polycrystal(ms.generator(0), 3, 4)
    again = Microstructure(cell.grain_id, cell.properties)
    assert np.shares_memory(again.grain_id, cell.grain_id)
    stress = np.ones((1, 3, 2, 2), np.float32)
    assert np.shares_memory(Pairs(np.ones((1, 2, 2, 4)), stress, 1).sigma_vm, stress)


def masked(array):
    return np.ma.masked_array(array, np.arange(np.size(array)).reshape(np.shape(array)) == 0)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Microstructure(masked(np.zeros((2, 2), int)), [[100, 0.3, 100, 0]]), "grain_id"),
        (
            lambda: Microstructure(np.zeros((2, 2), int), masked([[100, 0.3, 100, 0]])),
            "properties",
        ),
        (
            lambda: Microstructure(np.zeros((2, 2), int), [masked([100, 0.3, 100, 0])]),
            "properties",
        ),
        (lambda: Load(masked([0, 1.0]), [1, 1.001]), "time"),
        (lambda: Pairs(np.ones((1, 2, 2, 4)), masked(np.ones((1, 3, 2, 2))), 1), "sigma_vm"),
    ],
)
def test_missing_values_are_refused(make, name):
    with pytest.raises(ValueError, match=f"^{name} has missing values"):
        make()


def test_a_mask_that_hides_nothing_is_fine():
    grain_id = np.ma.masked_array(np.zeros((2, 2), int), False)
    assert type(Microstructure(grain_id, [[100, 0.3, 100, 0]]).grain_id) is np.ndarray


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Microstructure(np.zeros((0, 0), int), [[100, 0.3, 100, 0]]), "at least one pixel"),
        (lambda: Microstructure(np.zeros((2, 2), int), np.zeros((0, 4))), "at least one grain"),
        (lambda: Load([0, 1], [1, 1]), "F11 of a load must change"),
    ],
)
def test_what_is_empty_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_samples_hold_arrays_whatever_they_were_given():
    properties, stress = np.ones((1, 2, 2, 4)), np.ones((1, 3, 2, 2), np.float32)
    pairs = Pairs(memoryview(properties), stress.tolist(), 1)
    np.testing.assert_array_equal(pairs.gather(pairs.in_order())[1], np.ones((2, 2, 2, 1)))
    with pytest.raises(ValueError, match="sigma_vm must be an array of real numbers"):
        Pairs(properties, iter(stress), 1)
