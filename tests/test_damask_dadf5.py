import shutil

import h5py
import numpy as np
import pytest
from damask_files import DILATATION, PAPER, copy_of, edit_setup, inputs, results

from repro import reference
from repro.damask import dadf5, exchange, setup
from repro.data import dataset


@pytest.fixture(scope="module")
def result():
    return dadf5.read(results(PAPER))


@pytest.fixture
def copy(tmp_path):
    return shutil.copy(results(PAPER), tmp_path / "copy.hdf5")


def test_grains_and_properties_are_those_it_was_written_from(result):
    grain_id, properties = inputs(PAPER)
    np.testing.assert_array_equal(result.grain_id, grain_id)
    assert not np.array_equal(grain_id, grain_id.T)  # or the orientation would not be tested
    np.testing.assert_allclose(result.setup.properties, properties, rtol=1e-12)


def test_stress_is_that_of_the_reference_model(result):
    data, _ = exchange.import_damask([results(PAPER)])
    ours = reference.simulate(data.microstructure(0), increments=4)
    np.testing.assert_allclose(data.sigma_vm[0], ours.sigma_vm, atol=0.1)
    np.testing.assert_allclose(data.P_mean[0], ours.P_mean, atol=0.1)
    np.testing.assert_allclose(data.F11, ours.F11, atol=1e-9)
    np.testing.assert_allclose(data.time, [0, 1, 2, 3, 4])
    turned = np.abs(data.sigma_vm[0].swapaxes(1, 2) - ours.sigma_vm).mean()
    assert turned > 5


def test_stress_with_dilatation_is_not():
    data, _ = exchange.import_damask([results(DILATATION)])
    ours = reference.simulate(data.microstructure(0), increments=4, rate=2e-2)
    assert np.abs(data.sigma_vm[0, -1] - ours.sigma_vm[-1]).mean() > 100


def test_cauchy_stress_is_symmetric(result):
    T = dadf5.cauchy_stress(result.F, result.P)
    np.testing.assert_allclose(T, np.swapaxes(T, -1, -2), atol=1e-9)
    P = result.P
    assert np.abs(P - np.swapaxes(P, -1, -2)).max() > 0.01


def test_von_mises_of_known_stresses():
    uniaxial, pressure, shear = np.diag([7.0, 0, 0]), -3 * np.eye(3), np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = 2.0
    T = np.stack([uniaxial, pressure, shear])
    np.testing.assert_allclose(dadf5.von_mises(T), [7, 0, 2 * np.sqrt(3)], atol=1e-14)


def test_fields_under_homogenization(copy, result):
    with h5py.File(copy, "a") as file:
        for increment in (name for name in file if name.startswith("increment_")):
            for phase in file[increment]["phase"].values():
                del phase["mechanical"]["F"], phase["mechanical"]["P"]
    np.testing.assert_array_equal(dadf5.read(copy).sigma_vm, result.sigma_vm)


def test_rows_are_taken_as_the_file_maps_them(copy, result):
    """DAMASK may write the points of a phase in any order, as it does in parallel."""
    with h5py.File(copy, "a") as file:
        mapping = file["cell_to/phase"][()]
        for label in np.unique(mapping["label"]):
            here = mapping["label"] == label
            last = mapping["entry"][here].max()
            mapping["entry"][here] = last - mapping["entry"][here]
        file["cell_to/phase"][...] = mapping
        for increment in (name for name in file if name.startswith("increment_")):
            for phase in file[increment]["phase"].values():
                for field in phase["mechanical"].values():
                    field[...] = field[()][::-1]
    np.testing.assert_array_equal(dadf5.read(copy).sigma_vm, result.sigma_vm)


def test_against_the_package_of_damask(result):
    damask = pytest.importorskip("damask", exc_type=ImportError)
    theirs = damask.Result(results(PAPER)).view(increments=-1, homogenizations=False)
    P, F = (theirs.place(name) for name in "PF")
    sigma = damask.mechanics.equivalent_stress_Mises(damask.mechanics.stress_Cauchy(P, F)) / 1e6
    np.testing.assert_allclose(result.sigma_vm[-1], sigma.reshape(16, 16, order="F"), rtol=1e-10)


def test_campaign_becomes_one_data_set(copy, tmp_path):
    out = tmp_path / "data.h5"
    copy_of(PAPER, copy, harden=2)
    data, left_out = exchange.import_damask([results(PAPER), tmp_path])
    dataset.write(out, data)
    read = dataset.read(out)
    assert len(read) == 2 and not left_out
    assert read.attributes["sources"].splitlines() == [str(results(PAPER)), str(copy)]
    np.testing.assert_array_equal(read.sigma_vm[0], read.sigma_vm[1])


def test_another_load_is_listed(copy, tmp_path):
    copy_of(PAPER, tmp_path / "second.hdf5", harden=2)
    other = shutil.copy(results(DILATATION), tmp_path / "other.hdf5")
    with pytest.raises(
        exchange.MismatchError,
        match=r"other.hdf5: .* in 0.2 s, dilatation = 1, unlike .*copy.hdf5: .* in 4 s",
    ):
        exchange.import_damask([tmp_path])
    data, left_out = exchange.import_damask([tmp_path], skip=True)
    assert len(data) == 2 and list(left_out) == [str(other)]


def test_missing_increments_are_listed(copy):
    with h5py.File(copy, "a") as file:
        del file["increment_4"]
    with pytest.raises(exchange.MismatchError, match="3 of 4 increments"):
        exchange.import_damask([copy])


def test_properties_are_those_of_the_law_that_was_solved(copy):
    """M other than sqrt(3/2) is the paper's law with other xi0 and h0."""
    edit_setup(copy, "material.yaml", "M: 1.224744871391589", "M: 1")
    data, _ = exchange.import_damask([copy])
    scale = [1, 1, np.sqrt(2 / 3), np.sqrt(2 / 3)]
    np.testing.assert_allclose(data.properties[0], inputs(PAPER)[1] * scale, rtol=1e-12)


def test_prefactor_of_hardening_left_out_is_three(copy):
    edit_setup(copy, "material.yaml", "        h: 1.0\n", "")
    np.testing.assert_allclose(
        dadf5.read(copy).setup.paper_properties[:, 3], 3 * inputs(PAPER)[1][:, 3], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("material.yaml", "type: isotropic", "type: phenopowerlaw", "g0 is Hooke / phenopowerlaw"),
        ("material.yaml", "C_44: 99629318283.47627", "C_44: 5e10", "g0 is elastically anisotropic"),
        ("material.yaml", "        n: 20.0\n", "", "g0 lacks n"),
        ("load.yaml", "loadstep", "steps", "no input file with 'loadstep'"),
        ("load.yaml", "  discretization", " : [", "load.yaml is not valid YAML"),
        ("load.yaml", "    N: 4\n", "", "incomplete set-up"),
    ],
)
def test_foreign_setup_is_refused_by_what_it_is(copy, name, old, new, message):
    edit_setup(copy, name, old, new)
    with pytest.raises(setup.SetupError, match=message):
        dadf5.read(copy)


def test_foreign_files_are_refused(tmp_path):
    text, other = tmp_path / "text.hdf5", tmp_path / "other.hdf5"
    text.write_text("no HDF5")
    h5py.File(other, "w").close()
    with pytest.raises(dadf5.DADF5Error, match="not a readable HDF5 file"):
        dadf5.read(text)
    with pytest.raises(dadf5.DADF5Error, match="not a DADF5 file"):
        dadf5.read(other)
    with pytest.raises(FileNotFoundError, match="no such file"):
        dadf5.read(tmp_path / "absent.hdf5")
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="no DADF5 results"):
        dadf5.find([folder])
    with pytest.raises(FileNotFoundError, match="no DADF5 files named"):
        dadf5.find([])


def test_missing_field_is_named(copy):
    with h5py.File(copy, "a") as file:
        del file["increment_2/phase/g1/mechanical/P"]
    with pytest.raises(dadf5.DADF5Error, match="increment_2/phase lacks P"):
        dadf5.read(copy)


def test_grid_that_is_not_ours_is_refused(copy):
    with h5py.File(copy, "a") as file:
        file["geometry"].attrs["cells"] = [8, 8, 4]
    with pytest.raises(dadf5.DADF5Error, match="grid 8x8x4, expected N1xN2x1"):
        dadf5.read(copy)
