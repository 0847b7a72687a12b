"""Results of DAMASK as people have them: each ends in the right field or in one line."""

import os
import re
import shutil
from pathlib import Path

import damask_files as files
import h5py
import numpy as np
import pytest
import yaml
from damask_files import DILATATION, PAPER, copy_of, edit_setup, edit_yaml, results

from repro import damask_import, verify_data
from repro.damask import dadf5, deviations, diagnosis, exchange, setup
from repro.data import checks, dataset
from repro.evaluation import assessment


@pytest.fixture
def copy(tmp_path):
    return copy_of(PAPER, tmp_path / "copy.hdf5")


@pytest.fixture(scope="module")
def whole():
    return exchange.import_damask([results(PAPER)])[0]


def change(path, *changes):
    with h5py.File(path, "a") as file:
        for one in changes:
            one(file)
    return path


def assert_same(data, whole, increments=slice(None)):
    np.testing.assert_array_equal(data.sigma_vm, whole.sigma_vm[:, increments])
    np.testing.assert_array_equal(data.time, whole.time[increments])
    np.testing.assert_allclose(
        data.property_maps(range(len(data))), whole.property_maps([0]), rtol=1e-6
    )


# --- Files that are read ------------------------------------------------------------------


def rename(*names, encoding="utf-8"):
    def renamed(file):
        files.rename_phases(file, names, encoding)

    return renamed


def comment_of_windows(file):
    text = files.read_text(file, "material.yaml")
    files.write_text(file, "material.yaml", "# Größe – 5 µm\n".encode("cp1252") + text.encode())


def numerics_with_phase(file):
    edit_yaml(file, "tight.yaml", lambda tree: tree.update(phase={"mechanical": {"r_cutback": 1}}))


def unquoted_powers(file):
    text = files.read_text(file, "material.yaml").replace("0.001", "1e-3")
    files.write_text(file, "material.yaml", text)


def byte_order_mark(file):
    text = files.read_text(file, "load.yaml").replace("\n", "\r\n")
    files.write_text(file, "load.yaml", "\ufeff" + text)


def merge_keys(file):
    text = files.read_text(file, "load.yaml").replace(
        "  discretization:\n", "  discretization: &d\n"
    )
    files.write_text(file, "load.yaml", text + "spare:\n  <<: *d\n")


def space_padded_labels(file):
    mapping = file["cell_to/phase"][()].astype([("label", "S4"), ("entry", "<i8")])
    mapping["label"] = np.char.ljust(mapping["label"], 4)
    del file["cell_to/phase"]
    file["cell_to/phase"] = mapping
    for increment in files.increments(file):
        for i in range(4):
            file.move(f"{increment}/phase/g{i}", f"{increment}/phase/g{i}  ")


@pytest.mark.parametrize(
    "changes",
    [
        [files.restart],
        [files.restart, files.restart],
        [files.add_step_not_written],
        [files.list_unused_materials],
        [files.store_same_names],
        [rename("0", "1", "2", "3")],
        [rename("001", "1e3", "no", "2020-01-01")],
        [rename("Körner", "µ", "β", "x")],
        [rename("Körner", "µ", "x", "y", encoding="cp1252")],
        [comment_of_windows],
        [numerics_with_phase],
        [unquoted_powers],
        [merge_keys],
        [byte_order_mark],
        [space_padded_labels],
    ],
    ids=lambda changes: "+".join(getattr(one, "__name__", "") for one in changes),
)
def test_is_read_as_what_it_is(copy, whole, changes):
    data, left_out = exchange.import_damask([change(copy, *changes)])
    assert_same(data, whole)
    assert not left_out and data.attributes["eps_rel_div"] == 5e-6


def test_folders_behind_links_are_found(tmp_path, whole):
    scratch, run = tmp_path / "scratch", tmp_path / "campaign" / "run1"
    scratch.mkdir()
    copy_of(PAPER, scratch / "a.hdf5")
    run.parent.mkdir()
    run.symlink_to(scratch)
    (scratch / "loop").symlink_to(run.parent)
    data, left_out = exchange.import_damask([run.parent])
    assert_same(data, whole)
    assert data.attributes["sources"] == str(run / "a.hdf5") and not left_out


def test_tolerance_of_a_restart_is_the_loosest(copy):
    change(copy, files.restart)
    edit_setup(copy, "tight.yaml", "5.0e-6", "5.0e-7")
    assert dadf5.read(copy).setup.eps_rel_div == 5e-6


# --- Files that are refused in one line ---------------------------------------------------


def set_constants(**constants):
    def edit(tree):
        for phase in tree["phase"].values():
            phase["lattice"] = "hP"
            phase["mechanical"]["elastic"] |= constants

    return lambda file: edit_yaml(file, "material.yaml", edit)


def restart_with_another_material(file):
    files.restart(file)
    files.write_text(
        file, "material.yaml", files.read_text(file, "material.yaml").replace("n: 20.0", "n: 21")
    )


def mix_exponents(file):
    text = files.read_text(file, "material.yaml")
    files.write_text(file, "material.yaml", text.replace("n: 20.0", "n: 10.0", 1))


def poison(name, increment, value):
    def edit(file):
        file[f"increment_{increment}/phase/g1/mechanical/{name}"][0, 0, 0] = value

    return edit


def kill_at_the_start(file):
    for name in files.increments(file)[1:]:
        del file[name]


def drop_initial_state(file):
    del file["increment_0"]


def stop_time(file):
    file["increment_3"].attrs["t/s"] = 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([files.write_as_alpha2], r"DADF5 0\.10, but versions 0\.14 and 1\.x are read"),
        ([files.write_as_mesh], "results of DAMASK_mesh, but those of DAMASK_grid are read"),
        ([files.kill_mid_increment], "incomplete: 3 of 4 increments"),
        ([restart_with_another_material], "restarted with another material"),
        ([set_constants(C_13=1e9)], "phase g0 is elastically anisotropic: C_13 is 1e\\+09 Pa"),
        ([set_constants(C_33=9.9e11)], "C_33 is 9.9e\\+11 Pa, not the 2.99667e\\+11 Pa"),
        ([set_constants(C_44=2e11)], "C_44 is 2e\\+11 Pa, not the 9.96293e\\+10 Pa"),
        ([set_constants(C_66=1e9)], "C_66 is 1e\\+09 Pa"),
        ([set_constants(C_14=1e10)], "C_14 is 1e\\+10 Pa, not the 0 Pa"),
        ([set_constants(**{"C_11,T": -1e8})], "C_11,T is -1e\\+08 Pa"),
        ([mix_exponents], "grains of different n: 10, 20"),
        ([poison("P", 4, np.nan)], "increment_4, grain g1: P is NaN or infinite"),
        ([poison("F", 2, np.inf)], "increment_2, grain g1: F is NaN or infinite"),
        ([poison("F", 3, -1.0)], "increment_3, grain g1: F turns the material inside out"),
        ([files.write_every_second, poison("P", 4, np.nan)], "increment_4, grain g1: P"),
        ([kill_at_the_start], "incomplete: 0 of 4 increments"),
        ([drop_initial_state], "lacks increment_0, the initial state"),
        ([stop_time], "the times of its increments do not grow"),
    ],
)
def test_is_refused_in_one_line(copy, changes, message):
    with pytest.raises(exchange.MismatchError, match=rf"{copy}: .*{message}") as error:
        exchange.import_damask([change(copy, *changes)])
    assert "\n" not in str(error.value)


def damage(path):
    path.write_bytes(path.read_bytes()[:5000])


def make_folder_of_field(path):
    with h5py.File(path, "a") as file:
        del file["increment_2/phase/g1/mechanical/P"]
        file.create_group("increment_2/phase/g1/mechanical/P")


def drop_cells(path):
    with h5py.File(path, "a") as file:
        del file["cell_to"]


def link_to_nothing(path):
    path.unlink()
    path.symlink_to(path.parent / "gone")


@pytest.mark.parametrize("spoil", [damage, make_folder_of_field, drop_cells, link_to_nothing])
def test_what_cannot_be_read_can_be_skipped(tmp_path, copy, spoil):
    bad = copy_of(PAPER, tmp_path / "bad.hdf5")
    spoil(bad)
    data, left_out = exchange.import_damask([tmp_path], skip=True)
    assert len(data) == 1 and list(left_out) == [str(bad)] and left_out[str(bad)]
    with pytest.raises(exchange.MismatchError, match="bad.hdf5: "):
        exchange.import_damask([tmp_path])


# --- Campaigns ----------------------------------------------------------------------------


def test_copies_are_dropped_with_a_word(tmp_path, copy, monkeypatch):
    shutil.copy(copy, tmp_path / "copy(1).hdf5")
    change(tmp_path / "copy(1).hdf5", rename("a", "b", "c", "d"))  # whatever its grains are called
    monkeypatch.chdir(tmp_path)
    data, left_out = exchange.import_damask(["copy.hdf5", tmp_path])
    assert len(data) == 1 and data.attributes["sources"] == "copy.hdf5"
    assert left_out == {
        str(tmp_path / name): "the same microstructure as copy.hdf5"
        for name in ("copy.hdf5", "copy(1).hdf5")
    }
    (tmp_path / "copy(1).hdf5").rename(tmp_path / "elsewhere")
    assert exchange.import_damask([copy, tmp_path])[1] == {f"{copy} again": "named before"}
    (tmp_path / "elsewhere").rename(tmp_path / "copy(1).hdf5")
    text, passed = diagnosis.report_files([tmp_path])
    again, first = tmp_path / "copy(1).hdf5", tmp_path / "copy.hdf5"
    assert f"FAIL {again}: the same microstructure as {first}" in text and not passed


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        ("material.yaml", "n: 20.0", "n: 10.0", "n = 10, unlike .*: n = 20"),
        ("material.yaml", "dilatation: false", "dilatation: true", "dilatation = 1, unlike"),
        ("material.yaml", "xi_inf: 1.0e+20", "xi_inf: 1e9", "hardening_left = 0.7.*, unlike"),
        ("tight.yaml", "5.0e-6", "5e-4", "eps_rel_div = 0.0005, unlike .*: eps_rel_div = 5e-06"),
        ("load.yaml", "N: 4", "N: 8\n    r: 1", "incomplete: 4 of 8"),
    ],
)
def test_mixed_set_ups_are_named(tmp_path, copy, name, old, new, text):
    copy_of(PAPER, tmp_path / "second.hdf5", harden=2)
    other = copy_of(PAPER, tmp_path / "zother.hdf5", harden=3)
    edit_setup(other, name, old, new)
    with pytest.raises(exchange.MismatchError, match=f"1 unusable: .*zother.hdf5: {text}"):
        exchange.import_damask([tmp_path])
    data, left_out = exchange.import_damask([tmp_path], skip=True)
    assert len(data) == 2 and list(left_out) == [str(other)]


def test_one_microstructure_under_two_set_ups_is_no_copy(tmp_path, copy):
    other = copy_of(PAPER, tmp_path / "other.hdf5")
    edit_setup(other, "material.yaml", "n: 20.0", "n: 10.0")
    with pytest.raises(exchange.MismatchError, match="other.hdf5: n = 10, unlike .*: n = 20"):
        exchange.import_damask([tmp_path])


def test_names_that_are_not_utf8_are_read_and_shown(tmp_path, copy):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/Gr\xf6\xdfe")
    Path(folder).mkdir()
    shutil.move(copy, folder)
    data, _ = exchange.import_damask([folder])
    assert data.attributes["sources"] == f"{tmp_path}/Gr\ufffd\ufffde/copy.hdf5"
    dataset.write(tmp_path / "out.h5", data)
    text, _ = diagnosis.report_files([folder])
    assert f"{tmp_path}/Gr\ufffd\ufffde/copy.hdf5" in text


# --- Judged by its own set-up -------------------------------------------------------------


def check(path, question):
    found = diagnosis.diagnose(dadf5.read(path))
    return next(c for c in found if c.question == question)


OWN = "stress against our solver with the settings of the file"


def test_every_second_increment_is_solved_as_it_was(copy, whole, tmp_path):
    data, _ = exchange.import_damask([change(copy, files.write_every_second)])
    assert_same(data, whole, slice(None, None, 2))
    np.testing.assert_allclose(data.attributes["solved_time"], [0, 1, 2, 3, 4])
    np.testing.assert_allclose(data.attributes["solved_F11"], whole.F11, atol=1e-9)
    dataset.write(tmp_path / "out.h5", data)
    (again,) = deviations.solve_again(dataset.read(tmp_path / "out.h5"), [0])
    assert deviations.effect(again, data.sigma_vm[0])[0] < 0.01
    own = check(copy, OWN)
    assert own.passed and float(own.found.split()[2]) < 0.01


def test_law_and_rate_travel_with_the_data(tmp_path):
    data, _ = exchange.import_damask([results(DILATATION)])
    dataset.write(tmp_path / "out.h5", data)
    read = dataset.read(tmp_path / "out.h5")
    (again,) = deviations.solve_again(read, [0])
    assert deviations.effect(again, read.sigma_vm[0])[0] < 0.1
    assert read.attributes["n"] == 20
    found = {c.question: c.found for c in checks.verify(read) if not c.passed}
    assert found["flow rule"] == "dilatation = 1"


def test_label_noise_is_that_of_the_data_own_set_up(copy):
    """Of every second increment 0.003 MPa, not the 3 MPa of solving with those that are written."""
    data, _ = exchange.import_damask([change(copy, files.write_every_second)])
    rows = assessment.label_noise(dataset.concatenate([data] * 3), stride=1)
    (mae,) = [
        row["value"]
        for row in rows
        if (row["metric"], row["region"]) == ("MAE", "all")
        and np.isnan([row["increment"], row["distance_px"]]).all()
    ]
    assert mae < 0.01
    elastic, _ = exchange.import_damask([results(DILATATION)])
    assert assessment.label_noise(dataset.concatenate([elastic] * 3), stride=1) == []


def test_law_that_we_do_not_solve_is_said(copy):
    edit_setup(copy, "material.yaml", "xi_inf: 1.0e+20", "xi_inf: 6e8")
    own = check(copy, OWN)
    assert own.found == "not known: our solver has no saturation of the hardening"


def test_another_exponent_is_solved_and_priced(copy):
    edit_setup(copy, "material.yaml", "n: 20.0", "n: 10.0")
    found = check(copy, "stress exponent n")
    assert re.search(r"alone it moves sigma_vM by \d", found.effect)
    assert "mean |difference|" in check(copy, OWN).found


def test_ratio_of_increments_and_steps_are_solved_times():
    def step(conditions, **discretization):
        return {
            "boundary_conditions": {"mechanical": conditions},
            "discretization": {"t": 2, "N": 2} | discretization,
        }

    zeros = [0, 0, 0]
    load = {
        "loadstep": [
            step({"dot_F": [[1e-3, 0, 0], zeros, zeros]}, r=3),
            step({"F": np.eye(3).tolist()}) | {"f_out": 2},
            step({"L": [[1e-3, 0, 0], zeros, zeros]}) | {"f_out": "none"},
        ]
    }
    with h5py.File(results(PAPER)) as file:
        texts = {
            "material.yaml": files.read_text(file, "material.yaml"),
            "load.yaml": yaml.safe_dump(load),
        }
    parsed = setup.parse(texts)
    time, F, P = parsed.load
    np.testing.assert_allclose(time, [0, 0.5, 2, 3, 4, 5, 6])
    assert np.isnan(P).all()
    np.testing.assert_allclose(F[:, 0, 0], [1, 1.0005, 1.002, 1.001, 1, np.exp(1e-3), np.exp(2e-3)])
    assert parsed.increments == 3 and parsed.eps_rel_div == setup.DEFAULT_EPS_REL_DIV


@pytest.mark.parametrize("change_load", [files.compress, files.unload])
def test_other_loads_are_kept_and_named(copy, whole, change_load):
    data, _ = exchange.import_damask([change(copy, change_load)])
    F11 = {files.compress: 2 - whole.F11, files.unload: whole.F11[[0, 1, 2, 3, 2]]}[change_load]
    np.testing.assert_allclose(data.F11, F11)
    np.testing.assert_allclose(data.attributes["solved_F11"], F11)
    failed = {c.question for c in checks.verify(data) if not c.passed}
    assert {"loading rate", "final stretch F11"} <= failed
    text, passed = diagnosis.report_files([copy])
    assert not passed and "FAIL final stretch F11" in text


# --- The commands -------------------------------------------------------------------------


def test_verify_data_names_each_file(tmp_path, copy, data_file, capsys):
    bad = tmp_path / "bad.h5"
    bad.write_text("no data")
    with pytest.raises(exchange.MismatchError, match=f"1 unusable: {bad}: not a readable HDF5"):
        verify_data.main((data_file, copy, bad))
    text = capsys.readouterr().out
    assert f"{data_file}\n" in text and f"{copy}\n" in text
    assert verify_data.main((data_file, copy)) == 1
    with pytest.raises(ValueError, match="name data sets, DADF5 files or folders"):
        verify_data.main(())


def test_import_says_what_it_left_out(tmp_path, copy, capsys):
    shutil.copy(copy, tmp_path / "copy(1).hdf5")
    damask_import.main((tmp_path,), tmp_path / "out.h5")
    assert capsys.readouterr().out.splitlines() == [
        f"left out {tmp_path / 'copy(1).hdf5'}: the same microstructure as {copy}",
        f"{tmp_path / 'out.h5'} written: 1 microstructures",
    ]
