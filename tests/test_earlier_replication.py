import json
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
from damask_files import DILATATION, PAPER, copy_of, edit_setup, inputs, results

from repro import reference
from repro.damask import earlier_replication, exchange
from repro.data import dataset
from repro.data import microstructure as ms

SI = np.array([1e9, 1, 1e6, 1e9])


# --- Pickles ------------------------------------------------------------------------------


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def save_object(path, content):
    array = np.empty((), dtype=object)
    array[()] = content
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "posix.system"), (eval, "builtins.eval"), (open, "open")]
)
def test_malicious_pickle_is_refused_by_name(tmp_path, function, name):
    trace = tmp_path / "trace"
    arguments = (str(trace), "w") if function is open else (f"touch {trace}",)
    path = save_object(tmp_path / "props.npy", {"E": Malicious(function, *arguments)})
    with pytest.raises(
        earlier_replication.ReplicationError, match=rf"props.npy: refused: .*{name}"
    ):
        earlier_replication.load_npy(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_pickles_are_read(tmp_path, protocol):
    content = {"E": np.arange(3.0), "nu": [0.3, np.float64(0.2)], "name": ("a", None, True)}
    path = save_object(tmp_path / "props.npy", None)
    header = path.read_bytes()[: -len(pickle.dumps(np.empty((), object), 4))]
    array = np.empty((), dtype=object)
    array[()] = content
    path.write_bytes(header[: header.index(b"\n") + 1] + pickle.dumps(array, protocol))
    read = earlier_replication.load_npy(path)
    np.testing.assert_array_equal(read["E"], content["E"])
    assert read["nu"] == content["nu"] and read["name"] == content["name"]


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + 18 * b"\0"]
)
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "labels.npy"
    path.write_bytes(content)
    with pytest.raises(earlier_replication.ReplicationError, match=r"labels\.npy: not a"):
        earlier_replication.load_npy(path)


# --- Simulations --------------------------------------------------------------------------


HARDEN = {3: 1.0, 7: 1.1, 12: 0.9}  # so that the microstructures differ


@pytest.fixture
def folder(tmp_path):
    """Three seeds in the two forms of props, spread over folders."""
    grain_id, properties = inputs(PAPER)
    for name in ("labels", "props", "results"):
        (tmp_path / name).mkdir()
    for seed, harden in HARDEN.items():
        np.save(tmp_path / "labels" / f"labels_seed{seed}.npy", grain_id.astype(np.int32))
        np.save(tmp_path / "props" / f"props_seed{seed}.npy", in_SI(properties, harden))
        copy_of(PAPER, tmp_path / "results" / f"seed{seed}.hdf5", harden)
    columns = dict(zip(("E", "nu", "xi0", "h0"), in_SI(properties, HARDEN[12]).T, strict=True))
    save_object(tmp_path / "props" / "props_seed12.npy", columns)
    return tmp_path


def in_SI(properties, harden):
    return properties * SI * [1, 1, 1, harden]


def test_simulations_become_a_data_set(folder, tmp_path):
    data, left_out = earlier_replication.import_simulations(folder)
    assert data.seed.tolist() == [[3], [7], [12]] and not left_out
    wanted, _ = exchange.import_damask([results(PAPER)])
    for i in range(3):
        np.testing.assert_array_equal(data.sigma_vm[i], wanted.sigma_vm[0])
        np.testing.assert_array_equal(data.grain_id[i], wanted.grain_id[0])
    dataset.write(tmp_path / "out.h5", data)


def test_labels_may_count_from_one_and_have_x2_first(folder):
    labels, _ = inputs(PAPER)
    np.save(folder / "labels" / "labels_seed3.npy", labels.T.astype(np.int64) + 1)
    data, _ = earlier_replication.import_simulations(folder)
    np.testing.assert_array_equal(data.grain_id[0], labels)


def break_labels(folder):
    labels = inputs(PAPER)[0].astype(int)
    labels[0, 0] = (labels[0, 0] + 1) % 4
    np.save(folder / "labels" / "labels_seed7.npy", labels)


def break_props(folder):
    _, properties = inputs(PAPER)
    np.save(folder / "props" / "props_seed7.npy", properties * SI * [1, 1, 1.01, 1])


def leave_props_in_our_units(folder):
    np.save(folder / "props" / "props_seed7.npy", inputs(PAPER)[1])


def poison_props(folder):
    save_object(folder / "props" / "props_seed7.npy", Malicious(os.system, "false"))


def shorten_props(folder):
    save_object(folder / "props" / "props_seed7.npy", {"E": [1.0], "nu": [0.3]})


def structure_props(folder):
    names = [(name, float) for name in ("E", "nu", "xi0", "h0")]
    np.save(folder / "props" / "props_seed7.npy", np.zeros(4, dtype=names))


def list_props(folder):
    save_object(folder / "props" / "props_seed7.npy", [{"E": 1.0}, {"E": 2.0}])


def text_props(folder):
    np.save(folder / "props" / "props_seed7.npy", np.array([["E", "nu", "xi0", "h0"]]))


def structure_labels(folder):
    np.save(folder / "labels" / "labels_seed7.npy", np.zeros((16, 16), dtype=[("id", int)]))


def list_labels(folder):
    save_object(folder / "labels" / "labels_seed7.npy", [[0, 1], [1, 0]])


def poison_stress(folder):
    with h5py.File(folder / "results" / "seed7.hdf5", "a") as file:
        file["increment_4/phase/g0/mechanical/P"][0, 0, 0] = np.nan


def double_labels(folder):
    shutil.copy(folder / "labels" / "labels_seed7.npy", folder)


def remove_labels_and_results(folder):
    (folder / "labels" / "labels_seed7.npy").unlink()
    (folder / "results" / "seed7.hdf5").unlink()


def cut_results(folder):
    (folder / "results" / "seed7.hdf5").write_bytes(b"")


def other_load(folder):
    copy_of(DILATATION, folder / "results" / "seed7.hdf5", HARDEN[7])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_labels, "not the grains that the DADF5 file was solved with"),
        (break_props, "not the grains that the DADF5 file was solved with"),
        (leave_props_in_our_units, "not the grains that the DADF5 file was solved with"),
        (poison_props, "refused: the pickle asks for posix.system"),
        (shorten_props, r"props_seed7.npy: expected .* found no 'xi0'"),
        (structure_props, "props_seed7.npy: expected .* found .*"),
        (list_props, "props_seed7.npy: expected .* found .*dict"),
        (text_props, "props_seed7.npy: expected .* found could not convert"),
        (structure_labels, "labels_seed7.npy: expected numbers, found "),
        (list_labels, "labels_seed7.npy: expected numbers, found list"),
        (poison_stress, "seed7.hdf5: increment_4, grain g0: P is NaN or infinite"),
        (double_labels, "found more than once"),
        (remove_labels_and_results, "labels_seed7.npy and seed7.hdf5 missing"),
        (cut_results, "not a readable HDF5 file"),
        (other_load, r"in 0.2 s, dilatation = 1, unlike seed3: "),
    ],
)
def test_what_does_not_fit_is_listed(folder, damage, reason):
    damage(folder)
    with pytest.raises(exchange.MismatchError, match=rf"1 unusable: seed7: .*{reason}"):
        earlier_replication.import_simulations(folder)
    data, left_out = earlier_replication.import_simulations(folder, skip=True)
    assert data.seed.tolist() == [[3], [12]] and list(left_out) == ["seed7"]


def test_other_M_is_still_the_same_grains(folder):
    """Labels and props name what was meant; the data set holds the law that was solved."""
    for path in (folder / "results").iterdir():
        edit_setup(path, "material.yaml", "M: 1.224744871391589", "M: 1")
    data, _ = earlier_replication.import_simulations(folder)
    np.testing.assert_allclose(
        data.properties[0, :, 2], inputs(PAPER)[1][:, 2] * np.sqrt(2 / 3), rtol=1e-12
    )


def test_folder_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match="no labels_seed"):
        earlier_replication.import_simulations(tmp_path)


# --- Ready pairs --------------------------------------------------------------------------

LOW, WIDTH = np.array([50, 0.2, 50, 0]), np.array([250, 0.2, 250, 50])


@pytest.fixture(scope="module")
def solved():
    """Three microstructures and their trajectories in four increments."""
    cells = [ms.polycrystal(np.random.default_rng(i), grains=5, size=16) for i in range(3)]
    return cells, [reference.simulate(cell, increments=4).sigma_vm for cell in cells]


def write_pairs(root, solved, turn_stress=False, turn_properties=False):
    """As the earlier replication wrote them: first two microstructures to train, last to val."""
    number = 0
    for split, which in (("train", (0, 1)), ("val", (2,))):
        for side in ("inputs", "outputs"):
            (root / split / side).mkdir(parents=True)
        for i in which:
            maps = (solved[0][i].property_maps() - LOW) / WIDTH
            maps = maps.swapaxes(0, 1) if turn_properties else maps
            sigma = solved[1][i].swapaxes(1, 2) if turn_stress else solved[1][i]
            for before, after in zip(sigma[:-1] / 1000, sigma[1:] / 1000, strict=True):
                x = np.concatenate([maps, before[..., None]], axis=-1)
                np.save(root / split / "inputs" / f"sample_{number:05d}.npy", x.astype(np.float32))
                np.save(
                    root / split / "outputs" / f"sample_{number:05d}.npy",
                    after[..., None].astype(np.float32),
                )
                number += 1
    (root / "metadata").mkdir()
    ranges = {
        name: {"min": low * unit, "max": (low + width) * unit}
        for name, low, width, unit in zip(("E", "nu", "xi0", "h0"), LOW, WIDTH, SI, strict=True)
    }
    ranges["sigma_vM"] = {"scale": "MPa/1000"}
    (root / "metadata" / "normalization.json").write_text(json.dumps(ranges))
    return root


def import_pairs(root, **options):
    return earlier_replication.import_pairs(root, F11=1.004, time=4.0, **options)


@pytest.mark.parametrize(
    ("turns", "turned"),
    [
        ({}, ""),
        ({"turn_stress": True}, "stress"),
        ({"turn_properties": True}, "properties"),
        ({"turn_stress": True, "turn_properties": True}, "properties, stress"),
    ],
)
def test_pairs_become_trajectories_with_our_axes(solved, tmp_path, turns, turned):
    data, left_out = import_pairs(write_pairs(tmp_path, solved, **turns))
    assert data.attributes["turned"] == turned and not left_out
    assert data.attributes["in_several_splits"] == 0
    np.testing.assert_allclose(data.time, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(data.F11, 1 + 1e-3 * data.time)
    for i, (cell, sigma) in enumerate(zip(*solved, strict=True)):
        np.testing.assert_allclose(data.sigma_vm[i], sigma, atol=1e-3)
        found = data.microstructure(i)
        np.testing.assert_allclose(found.property_maps(), cell.property_maps(), rtol=1e-5)
    dataset.write(tmp_path / "out.h5", data)
    assert len(dataset.read(tmp_path / "out.h5")) == 3


def test_order_of_samples_does_not_matter(solved, tmp_path):
    root = write_pairs(tmp_path, solved)
    for side in ("inputs", "outputs"):
        first, last = (root / "train" / side / f"sample_0000{k}.npy" for k in (0, 6))
        first.rename(root / "swap")
        last.rename(first)
        (root / "swap").rename(last)
    data, left_out = import_pairs(root)
    assert len(data) == 3 and not left_out


def test_microstructures_in_several_splits_are_counted(solved, tmp_path):
    root = write_pairs(tmp_path, solved)
    for side in ("inputs", "outputs"):
        (root / "train" / side / "sample_00002.npy").rename(
            root / "val" / side / "sample_00002.npy"
        )
    data, _ = import_pairs(root)
    assert len(data) == 3 and data.attributes["in_several_splits"] == 1
    assert "1 microstructures sit in several splits" in earlier_replication.remarks(data)[0]


def test_samples_that_do_not_join_are_listed(solved, tmp_path):
    root = write_pairs(tmp_path, solved)
    (root / "train" / "outputs" / "sample_00001.npy").unlink()
    (root / "val" / "inputs" / "sample_00009.npy").write_bytes(b"cut")
    with pytest.raises(exchange.MismatchError, match=r"sample_00001\.npy missing") as error:
        import_pairs(root)
    assert list(error.value.problems) == [
        "train/sample_00001.npy",
        "val/sample_00009.npy",  # damaged
        "train/sample_00000.npy",
        "val/sample_00008.npy",  # trajectories cut short
        "train/sample_00002.npy",
        "train/sample_00003.npy",  # and what is left of them
        "val/sample_00010.npy",
        "val/sample_00011.npy",
    ]


def test_cut_trajectories_can_be_left_out(solved, tmp_path):
    root = write_pairs(tmp_path, solved)
    (root / "train" / "inputs" / "sample_00003.npy").unlink()
    data, left_out = import_pairs(root, skip=True)
    assert len(data) == 2
    assert left_out["train/sample_00000.npy"] == "3 pairs from rest on, but the longest has 4"


def test_stress_of_other_grains_is_refused(solved, tmp_path):
    cells, sigma = solved
    with pytest.raises(
        earlier_replication.ReplicationError, match=r"fit our own solution .* in no orientation"
    ):
        import_pairs(write_pairs(tmp_path, (cells, sigma[1:] + sigma[:1])))


def test_unknown_normalization_is_refused(solved, tmp_path):
    root = write_pairs(tmp_path, solved)
    path = root / "metadata" / "normalization.json"
    path.write_text(path.read_text().replace("MPa/1000", "mean 0, variance 1"))
    with pytest.raises(
        earlier_replication.ReplicationError, match=r"normalization.json: .*mean 0, variance 1"
    ):
        import_pairs(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="ready pairs need it"):
        import_pairs(root)


@pytest.mark.parametrize(
    ("F11", "time", "message"),
    [(1.004, 0.0, "time must be positive"), (1.0, 4.0, "F11_max must be a positive stretch")],
)
def test_impossible_load_of_pairs_is_refused(tmp_path, F11, time, message):
    with pytest.raises(ValueError, match=message):
        earlier_replication.import_pairs(tmp_path, F11, time)


def test_files_of_any_layout_are_told_apart(solved, tmp_path):
    root = write_pairs(tmp_path / "pairs", solved)
    for given, message in (
        (([root],), "give --F11 and --time"),
        (([root, tmp_path], 1.004, 4.0), "pairs holds an earlier replication: import it alone"),
        (([tmp_path], 1.004, 4.0), "leave out --F11 and --time"),
    ):
        with pytest.raises(earlier_replication.ReplicationError, match=message):
            earlier_replication.import_files(*given)
    assert len(earlier_replication.import_files([root], 1.004, 4.0)[0]) == 3
