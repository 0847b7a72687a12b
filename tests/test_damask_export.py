import base64
import itertools
import stat
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import yaml
from damask_files import PAPER, inputs, results
from loads import LOADS

from repro.damask import dadf5, exchange, export, run, setup
from repro.data import dataset
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure

LOAD = Load.stretch(increments=4)


@pytest.fixture
def cell():
    return Microstructure(*inputs(PAPER))


def assert_same_tree(found, wanted, where=""):
    assert type(found) is type(wanted), where
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_same_tree(found[key], wanted[key], f"{where}/{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_same_tree(a, b, f"{where}/{i}")
    else:
        assert found == (pytest.approx(wanted, rel=1e-14) if type(wanted) is float else wanted)


def test_inputs_are_those_that_damask_solved(cell, tmp_path):
    export.write_inputs(tmp_path, cell, LOAD)
    for name in ("material.yaml", "load.yaml"):
        written, solved = (yaml.safe_load((d / name).read_text()) for d in (tmp_path, PAPER))
        assert_same_tree(written, solved, name)


def material_of_cells(path) -> np.ndarray:
    """The cells of a .vti file by the rules of VTK: header of block sizes, then zlib blocks."""
    tree = ElementTree.parse(path).getroot()
    array = next(a for a in tree.iter("DataArray") if a.get("Name") == "material")
    text = array.text.strip()
    blocks = int.from_bytes(base64.b64decode(text[:8])[:4], "little")
    length = -(-4 * (3 + blocks) // 3) * 4  # base64 characters of the header
    sizes = np.frombuffer(base64.b64decode(text[:length]), "<u4")[3:]
    data, start = base64.b64decode(text[length:]), [0, *itertools.accumulate(sizes.tolist())]
    cells = b"".join(zlib.decompress(data[a:b]) for a, b in itertools.pairwise(start))
    return np.frombuffer(cells, "<i8")


def test_cells_are_those_that_damask_solved(cell, tmp_path):
    export.write_inputs(tmp_path, cell, LOAD)
    found, wanted = map(material_of_cells, (tmp_path / "grid.vti", PAPER / "geom.vti"))
    np.testing.assert_array_equal(found, wanted)
    assert len(wanted) == 256


def test_grid_is_that_which_damask_solved(cell, tmp_path):
    damask = pytest.importorskip("damask", exc_type=ImportError)
    export.write_inputs(tmp_path, cell, LOAD)
    assert damask.GeomGrid.load(tmp_path / "grid.vti") == damask.GeomGrid.load(PAPER / "geom.vti")


def test_material_is_complete_for_damask(cell, tmp_path):
    damask = pytest.importorskip("damask", exc_type=ImportError)
    export.write_inputs(tmp_path, cell, LOAD, tolerance=5e-6)
    material = damask.ConfigMaterial.load(tmp_path / "material.yaml")
    assert material.is_complete and material.is_valid


def test_our_reader_understands_what_we_write(cell, tmp_path):
    export.write_inputs(tmp_path, cell, LOAD, tolerance=5e-6)
    read = setup.parse({p.name: p.read_text() for p in tmp_path.iterdir()})
    np.testing.assert_allclose(read.paper_properties, cell.properties, rtol=1e-12)
    assert Load(*read.load).same_as(LOAD)
    assert (read.increments, read.eps_rel_div) == (4, 5e-6)
    assert {phase.flow_rule for phase in read.phases.values()} == {FlowRule()}


def test_a_data_set_and_its_input_for_damask_have_one_flow_rule(cell, tmp_path):
    flow_rule = FlowRule(n=5, dot_gamma_0=1e-2, M=1, h=3)
    one, _ = exchange.import_damask([results(PAPER)])
    data = replace(one, attributes=flow_rule.attributes)
    (folder,) = exchange.export_damask(data, tmp_path)
    read = setup.parse({p.name: p.read_text() for p in folder.iterdir()})
    assert {phase.flow_rule for phase in read.phases.values()} == {flow_rule}
    np.testing.assert_allclose(read.properties, data.properties[0], rtol=1e-12)
    np.testing.assert_allclose(
        read.paper_properties, flow_rule.rescaled(data.properties[0]), rtol=1e-12
    )


def test_tolerance_of_an_earlier_export_does_not_stay(cell, tmp_path):
    export.write_inputs(tmp_path, cell, LOAD, tolerance=5e-6)
    export.write_inputs(tmp_path, cell, LOAD)
    assert not (tmp_path / "numerics.yaml").exists()


@pytest.mark.parametrize("name", LOADS)
def test_any_load_is_written_in_steps_and_read(name, tmp_path):
    load = LOADS[name].refined(3)
    texts = {
        "material.yaml": yaml.safe_dump(export.material(np.array([[100, 0.3, 100, 1]]))),
        "load.yaml": yaml.safe_dump(written := export.load_steps(load)),
    }
    assert len(written["loadstep"]) == LOADS[name].increments
    assert Load(*setup.parse(texts).load).same_as(load)
    for step in written["loadstep"]:
        conditions = step["boundary_conditions"]["mechanical"]
        at = {kind: np.ravel(rows) for kind, rows in conditions.items()}
        assert all((at["dot_F"] == "x") == (at["P"] != "x") if "P" in at else at["dot_F"] != "x")


# --- Running ------------------------------------------------------------------------------

# In place of DAMASK: files the fixture as the result of the inputs at hand; fails on request.
FAKE = f"""#!{sys.executable}
import pathlib, shutil, sys
import h5py
if pathlib.Path("diverge").exists():
    sys.exit("cutbacks exceeded")
files = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert files["-g"] == "grid.vti", files
shutil.copyfile({str(results(PAPER))!r}, "grid_load_material.hdf5")
with h5py.File("grid_load_material.hdf5", "a") as result:
    del result["setup"]
    for name in files.values():
        result["setup/" + name] = [pathlib.Path(name).read_bytes()]
    if pathlib.Path("stop").exists():
        del result["increment_4"]
with open("calls", "a") as calls:
    calls.write("x")
"""


@pytest.fixture
def fake_damask(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "DAMASK_grid"
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def exported(tmp_path):
    """Three folders of inputs."""
    one, _ = exchange.import_damask([results(PAPER)])
    three = [replace(one, properties=one.properties * [1, 1, k, 1]) for k in (1, 0.9, 0.8)]
    return exchange.export_damask(dataset.concatenate(three), tmp_path / "out")


def calls(directory: Path) -> int:
    return len((directory / "calls").read_text())


def test_runs_and_comes_back(fake_damask, exported, tmp_path):
    assert run.run(exported, workers=2) == {}
    data, left_out = exchange.import_damask([tmp_path / "out"])
    assert len(data) == 3 and not left_out
    np.testing.assert_array_equal(data.grain_id[0], inputs(PAPER)[0])


def test_failures_are_reported_and_skipped(fake_damask, exported):
    (exported[0] / "diverge").touch()
    (exported[1] / "stop").touch()
    failures = run.run(exported, workers=1)
    assert list(failures) == [str(exported[0]), str(exported[1])]
    assert "exit status 1" in failures[str(exported[0])]
    assert "did not write all increments" in failures[str(exported[1])]
    assert "cutbacks exceeded" in (exported[0] / run.LOG).read_text()
    assert run.is_done(exported[2])


def test_second_run_does_only_what_is_missing(fake_damask, exported):
    (exported[1] / "stop").touch()
    run.run(exported)
    (exported[1] / "stop").unlink()
    assert run.run(exported) == {}
    assert [calls(directory) for directory in exported] == [1, 2, 1]


def test_a_result_killed_while_it_was_written_is_computed_again(fake_damask, exported):
    run.run(exported)
    result = exported[0] / "grid_load_material.hdf5"
    result.write_bytes(result.read_bytes()[:5000])
    assert run.run(exported) == {}
    assert [calls(directory) for directory in exported] == [2, 1, 1]
    dadf5.read(result)


def test_a_result_of_other_inputs_is_computed_again(fake_damask, exported, cell):
    run.run(exported)
    stiffer = Microstructure(cell.grain_id, cell.properties * [1.1, 1, 1, 1])
    export.write_inputs(exported[2], stiffer, LOAD)
    assert not run.is_done(exported[2])
    run.run(exported)
    assert [calls(directory) for directory in exported] == [1, 1, 2]
    result = dadf5.read(exported[2] / "grid_load_material.hdf5")
    np.testing.assert_allclose(result.setup.properties, stiffer.properties, rtol=1e-12)


def test_restart_files_are_not_results(fake_damask, exported, tmp_path):
    run.run(exported)
    h5py.File(exported[0] / "grid_load_material_restart.hdf5", "w").close()
    assert len(dadf5.find([tmp_path / "out"])) == 3


def test_without_damask_says_so(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="DAMASK_grid is not on the PATH: install"):
        run.run(exported)


def test_index_out_of_range(tmp_path):
    one, _ = exchange.import_damask([results(PAPER)])
    with pytest.raises(ValueError, match="no microstructure 3: the data set has 0 to 0"):
        exchange.export_damask(one, tmp_path, [3])
