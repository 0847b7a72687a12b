import dataclasses

import h5py
import numpy as np
import pytest

from repro.data import dataset
from repro.data.dataset import DataSetError


def test_written_data_reads_back(data, tmp_path):
    dataset.write(tmp_path / "copy.h5", data)
    copy = dataset.read(tmp_path / "copy.h5")
    assert dataset.data_hash(copy) == dataset.data_hash(data)
    assert copy.attributes["suite"] == "paper"
    with h5py.File(tmp_path / "copy.h5") as file:
        assert file["sigma_vm"].chunks == (1, *data.sigma_vm.shape[1:])


def test_parts_are_written_as_one_data_set(data, tmp_path):
    properties = dataset.pad_properties(data.properties, 15)
    properties[:, 14] = data.properties[:, 0]
    more_grains = dataclasses.replace(data, properties=properties)
    parts = [data, more_grains, data]
    dataset.write(tmp_path / "a.h5", iter(parts))
    written = dataset.read(tmp_path / "a.h5")
    assert dataset.data_hash(written) == dataset.data_hash(dataset.concatenate(parts))
    assert written.attributes["suite"] == data.attributes["suite"]


def test_fields_can_stay_in_the_file(data, data_file):
    opened = dataset.read(data_file, in_memory=False)
    assert isinstance(opened.sigma_vm, h5py.Dataset)
    np.testing.assert_array_equal(opened.sigma_vm[[1, 4]], data.sigma_vm[[1, 4]])
    assert dataset.split(opened).hash == dataset.split(data).hash


def test_write_does_not_overwrite(data, data_file):
    with pytest.raises(FileExistsError, match=data_file.name):
        dataset.write(data_file, data)


def test_a_write_that_fails_leaves_nothing(data, tmp_path):
    bad = dataclasses.replace(data, attributes={"unstorable": object()})
    with pytest.raises(TypeError):
        dataset.write(tmp_path / "bad.h5", bad)
    assert list(tmp_path.iterdir()) == []


def test_shapes_must_agree(data):
    with pytest.raises(DataSetError, match=r"sigma_vm has shape .* expected \(6, 21, 16, 16\)"):
        dataclasses.replace(data, sigma_vm=data.sigma_vm[:, :-1])


def test_files_that_are_no_data_sets_are_refused_by_name(tmp_path, data_file):
    with pytest.raises(FileNotFoundError, match="missing.h5"):
        dataset.read(tmp_path / "missing.h5")

    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(DataSetError, match="text.h5: not a readable HDF5 file"):
        dataset.read(text)

    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(data_file.read_bytes()[:-1000])
    with pytest.raises(DataSetError, match="truncated.h5: not a readable HDF5 file"):
        dataset.read(truncated)

    changed = tmp_path / "changed.h5"
    changed.write_bytes(data_file.read_bytes())
    with h5py.File(changed, "a") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(DataSetError, match="changed.h5: schema version 99"):
        dataset.read(changed)
    with h5py.File(changed, "a") as file:
        file.attrs["schema_version"] = 1
        file["time"][3] = file["time"][2]
    with pytest.raises(DataSetError, match="changed.h5: the time of a load must increase from 0"):
        dataset.read(changed)
    with h5py.File(changed, "a") as file:
        del file["F11"]
    with pytest.raises(DataSetError, match="lacks the array F11"):
        dataset.read(changed)


def test_microstructure_drops_padding(data):
    padded = dataclasses.replace(data, properties=dataset.pad_properties(data.properties, 15))
    assert padded.properties.shape == (6, 15, 4)
    np.testing.assert_array_equal(padded.microstructure(2).properties, data.properties[2])
    np.testing.assert_array_equal(padded.property_maps([1, 4]), data.property_maps([1, 4]))


def test_split_is_disjoint_complete_and_fixed(data):
    split = dataset.split(data)
    assert (len(split.training), len(split.validation)) == (5, 1)
    assert set(split.training) | set(split.validation) == set(range(6))
    again = dataset.split(data)
    np.testing.assert_array_equal(again.training, split.training)
    assert again.hash == split.hash


def test_split_hash_knows_the_microstructures(data):
    other = dataclasses.replace(data, properties=data.properties + 1e-9)
    assert dataset.split(other).hash != dataset.split(data).hash


def test_a_single_microstructure_cannot_be_split(data):
    with pytest.raises(DataSetError, match="1 microstructures cannot be split"):
        dataset.split(data.first(1))


def test_a_grain_without_properties_is_named_and_no_other_takes_its_place(data, tmp_path):
    properties = np.pad(data.properties, [(0, 0), (0, 3), (0, 0)], constant_values=np.nan)
    padded = dataclasses.replace(data, properties=properties)
    for i in range(len(data)):
        assert padded.microstructure(i) == data.microstructure(i)
    properties = properties.copy()
    properties[1, 4, 1] = np.nan  # of a grain within
    with pytest.raises(ValueError, match="nu of grain 4"):
        dataclasses.replace(data, properties=properties).microstructure(1)
    properties[1, 4] = np.nan
    with pytest.raises(ValueError, match="grain 4"):
        dataclasses.replace(data, properties=properties).microstructure(1)
    dataset.write(tmp_path / "a.h5", dataclasses.replace(data, properties=properties))
    with pytest.raises(DataSetError, match="microstructure 1: .*grain 4"):
        dataset.read(tmp_path / "a.h5")


def test_labelled_arrays_can_be_written_as_netcdf(data, tmp_path):
    pytest.importorskip("xarray")
    attributes = {**data.attributes, "dilatation": True}
    labelled = dataclasses.replace(data, attributes=attributes).to_xarray()
    labelled.drop_vars("seed").to_netcdf(tmp_path / "a.nc", engine="scipy")
