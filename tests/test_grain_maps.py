"""Grain maps and properties of others: every format in, and what is wrong in one line."""

import re
import sys

import grain_map_files as files
import numpy as np
import pytest
from PIL import Image

from repro import cells
from repro.damask.setup import SetupError, read_load
from repro.data import dataset
from repro.data.grain_maps import GrainMapError, read_grain_map
from repro.data.load import Load
from repro.data.microstructure import generator, table3_properties
from repro.data.property_table import read_properties

IDS = files.IDS
VOLUME = np.stack([IDS, 10 + IDS, 20 + IDS], -1)  # three layers along z
TABLE = """grain,E/GPa,nu,xi0/MPa,h0/GPa
1,100,0.3,100,1
3,120,0.25,150,2
7,80,0.2,200,3
9,200,0.35,250,4
"""


def table(tmp_path, text=TABLE):
    path = tmp_path / "grains.csv"
    path.write_text(text)
    return path


NAMES = ["grey.tif", "array.npy", "table.csv", "table.txt", "image.vti", "version6.dream3d"]
NAMES += ["nx.dream3d", "ascii.tesr", "binary.tesr", "beside.tesr", "old.tesr"]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_map(name):
    if name.endswith(".vti"):
        pytest.importorskip("vtkmodules")
    found = read_grain_map(files.FOLDER / name)
    np.testing.assert_array_equal(found.ids, IDS)
    np.testing.assert_array_equal(np.array(found.grains)[found.grain_id], IDS)
    has_lengths = name.endswith(("vti", "dream3d", "tesr"))
    np.testing.assert_allclose(found.edges[1] / found.edges[0], 4 / 3 if has_lengths else 4 / 6)


def test_the_files_are_those_that_the_helper_writes(tmp_path):
    files.write_all(tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in files.FOLDER.iterdir()}


def test_x1_runs_to_the_right_of_an_image_and_x2_upwards():
    found = read_grain_map(files.FOLDER / "colours.png")
    wanted = [int(bytes(files.COLOURS[i]).hex(), 16) for i in IDS.flat]
    np.testing.assert_array_equal(found.ids.ravel(), wanted)


def test_a_palette_image_is_read_by_its_indices(tmp_path):
    image = Image.fromarray(files.ROWS.astype(np.uint8)).convert("P")
    image.putpalette([5] * 768)  # all of one colour
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_grain_map(tmp_path / "palette.png").ids, IDS)


def test_a_geometry_of_damask_is_read():
    pytest.importorskip("vtkmodules")
    folder = files.FOLDER.parent / "damask" / "paper"
    wanted = np.load(folder / "inputs.npz")["grain_id"]
    np.testing.assert_array_equal(read_grain_map(folder / "geom.vti").ids, wanted)


@pytest.mark.parametrize(
    ("layer", "wanted", "edges"),
    [
        ("z=1", VOLUME[:, :, 1], (3, 4)),
        ("y=3", VOLUME[:, 3], (3, 6)),
        ("x=0", VOLUME[0], (4, 6)),
    ],
)
def test_a_layer_of_a_volume_is_read_with_its_lengths(tmp_path, layer, wanted, edges):
    files.dream3d_6(tmp_path / "a.dream3d", VOLUME)
    files.tesr(tmp_path / "a.tesr", "binary16_big", VOLUME)
    for name in ("a.dream3d", "a.tesr"):
        found = read_grain_map(tmp_path / name, layer)
        np.testing.assert_array_equal(found.ids, wanted)
        np.testing.assert_allclose(found.edges, edges)


def test_pages_of_a_tiff_are_layers(tmp_path):
    pages = [VOLUME[..., k].T[::-1] for k in range(3)]
    files.tiff(tmp_path / "stack.tif", pages)
    np.testing.assert_array_equal(read_grain_map(tmp_path / "stack.tif", "z=2").ids, VOLUME[..., 2])


def test_neper_may_give_its_cells_other_numbers(tmp_path):
    ids = np.unique(IDS, return_inverse=True)[1].reshape(IDS.shape) + 1
    files.tesr(tmp_path / "named.tesr", ids=ids, extra=" **cell\n   4\n  *id\n   1 3\n 7 9\n")
    np.testing.assert_array_equal(read_grain_map(tmp_path / "named.tesr").ids, IDS)


def test_an_array_is_chosen_by_its_name(tmp_path):
    files.dream3d_6(tmp_path / "own.dream3d", name="Grains")  # the only one of whole numbers
    np.testing.assert_array_equal(read_grain_map(tmp_path / "own.dream3d").ids, IDS)
    phases = read_grain_map(files.FOLDER / "nx.dream3d", array="Phases")
    assert phases.grains == [1]
    pytest.importorskip("vtkmodules")
    path = tmp_path / "several.vti"
    files.vti(path, [("a", "Int32", 0 * IDS), ("b", "Float32", IDS)])
    np.testing.assert_array_equal(read_grain_map(path, array="b").ids, IDS)


def smoothed(path):
    files.png(path)
    Image.open(path).resize((60, 40), Image.Resampling.BILINEAR).save(path)


BAD = {  # file, what it holds, options, what is said of it
    "none.npy": (None, {}, "no such file"),
    "map.xyz": ("", {}, r"give a grain map as one of \.png"),
    "map.jpg": (lambda path: Image.new("RGB", (4, 4)).save(path), {}, "JPEG changes colours"),
    "aa.png": (smoothed, {}, r"\d+ of its \d+ colours fill no 2 x 2 pixels.*without smoothing"),
    "glass.png": (lambda path: Image.new("RGBA", (4, 4)).save(path), {}, "transparent pixels"),
    "text.png": ("hello", {}, r"cannot be read as \.png"),
    "half.npy": (lambda path: np.save(path, IDS + 0.5), {}, "whole numbers, but one is 7.5"),
    "names.npy": (lambda path: np.save(path, np.array([["a"]])), {}, "not <U1"),
    "objects.npy": (lambda path: np.save(path, np.array([[{}]])), {}, "Object arrays cannot be"),
    "line.npy": (lambda path: np.save(path, IDS[0]), {}, "two axes or three, not 1"),
    "ragged.csv": ("1,2\n3\n", {}, "columns changed from 2 to 1 at row 2"),
    "words.csv": ("1,b\n", {}, "'b'"),
    "empty.csv": ("", {}, "has no pixels"),
    "volume.npy": (lambda path: np.save(path, VOLUME), {}, "6 x 4 x 3 voxels .* choose a layer"),
    "layer.npy": (
        lambda path: np.save(path, VOLUME),
        {"layer": "z=3"},
        "no layer z=3: they are z=0 to 2",
    ),
    "axis.npy": (lambda path: np.save(path, VOLUME), {"layer": "3"}, "such as z=0, not 3"),
    "text.vti": ("hello", {}, "no image data of VTK"),
    "field.vti": (lambda path: files.vti(path, [("s", "Float32", IDS)]), {}, "no array of whole"),
    "two.vti": (
        lambda path: files.vti(path, [("a", "Int8", IDS), ("b", "Int8", IDS)]),
        {},
        "has several arrays: choose one that holds grains, of a, b",
    ),
    "text.dream3d": ("hello", {}, r"cannot be read as \.dream3d"),
    "other.dream3d": (files.dream3d_6, {"array": "Ids"}, "has no array Ids: .* of .*FeatureIds"),
    "text.tesr": ("hello", {}, "no raster tessellation"),
    "cut.tesr": (
        lambda path: files.tesr(path, "binary16", version="2.0 binary32\n"),
        {},
        r"data of \d+ of 24 voxels",
    ),
    "lost.tesr": (
        lambda path: files.tesr(path, raw="x.raw") or (path.parent / "x.raw").unlink(),
        {},
        "x.raw",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_grain_map_is_said_in_one_line(tmp_path, name):
    if name.endswith(".vti"):
        pytest.importorskip("vtkmodules")
    content, options, said = BAD[name]
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif content:
        content(path)
    with pytest.raises((GrainMapError, FileNotFoundError), match=f"^{path}: .*{said}") as error:
        read_grain_map(path, **options)
    assert "\n" not in str(error.value)


def test_without_vtk_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vtkmodules.vtkIOXML", None)
    with pytest.raises(GrainMapError, match=r"needs the package vtk: pip install '\.\[vtk\]'"):
        read_grain_map(files.FOLDER / "image.vti")


def test_properties_are_those_of_the_ids(tmp_path):
    cell = read_grain_map(files.FOLDER / "nx.dream3d").cell(read_properties(table(tmp_path)))
    np.testing.assert_array_equal(cell.property_maps()[0, 0], [80, 0.2, 200, 3])
    np.testing.assert_array_equal(cell.property_maps()[4, 0], [200, 0.35, 250, 4])
    np.testing.assert_allclose(cell.edges, (3, 4))


def test_units_columns_and_colours_of_a_table(tmp_path):
    text = "name;h0 / MPa;grain;xi0/Pa;nu;E/Pa\nsoft;1500;#ff8000;1e8;0.3;7e10\n\n"
    found = read_properties(table(tmp_path, text))
    np.testing.assert_allclose(found[0xFF8000], [70, 0.3, 100, 1.5], rtol=1e-15)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("E/GPa", "E", "column E has no unit: write E/GPa, E/MPa or E/Pa"),
        ("xi0/MPa", "xi0/psi", "column xi0 has the unit psi: write xi0/GPa"),
        ("nu", "nu/GPa", "column nu has the unit GPa: write nu"),
        ("h0/GPa", "h/GPa", "no column h0: begin the table with grain,E/GPa"),
        ("nu,xi0/MPa", "nu,nu", "several columns nu"),
        ("3,120,", "3,12O,", "line 3: E is '12O', not a number"),
        ("3,120,", "1,120,", "line 3: grain 1 has a row already"),
        ("3,120,", "iron,120,", "line 3: grain is 'iron', not a whole number or a colour"),
        ("9,200,0.35,250,4", "9,200,0.35,250", "line 5: h0 is '', not a number"),
        ("9,200,0.35", "9,200,0.5", "nu of grain 9 is 0.5: it must lie in"),
        (TABLE, "", "no column grain"),
        (TABLE.split("\n", 1)[1], "", "has no grains"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_in_one_line(tmp_path, old, new, said):
    path = table(tmp_path, TABLE.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^{path}.*{re.escape(said)}"):
        read_properties(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.csv: no such file"):
        read_properties(tmp_path / "none.csv")


def test_grains_without_properties_are_named(tmp_path):
    few = read_properties(table(tmp_path, "\n".join(TABLE.splitlines()[:2])))
    with pytest.raises(GrainMapError, match=r"array.npy: no properties of grain 3, 7, 9: give"):
        read_grain_map(files.FOLDER / "array.npy").cell(few)
    with pytest.raises(GrainMapError, match="no properties of grain #0000ff"):
        read_grain_map(files.FOLDER / "colours.png").cell(few)


def test_pixels_of_no_grain_are_refused_unless_the_table_has_them(tmp_path):
    files.tesr(tmp_path / "void.tesr", ids=np.where(IDS == 9, 0, IDS))
    found = read_grain_map(tmp_path / "void.tesr")
    sentence = r"void.tesr: 4 pixels belong to no grain \(id 0\): fill them, or give that id a row"
    with pytest.raises(GrainMapError, match=sentence):
        found.cell(found.draw(generator(0)))
    with pytest.raises(GrainMapError, match=sentence):
        found.cell(read_properties(table(tmp_path)))
    cell = found.cell(read_properties(table(tmp_path, TABLE.replace("\n9,", "\n0,"))))
    assert cell.property_maps()[4, 0, 0] == 200
    np.save(tmp_path / "zero.npy", np.where(IDS == 9, 0, IDS))  # 0 is a grain like others there
    assert read_grain_map(tmp_path / "zero.npy").draw(generator(0)).keys() == {0, 1, 3, 7}


def test_the_command_makes_a_data_set(tmp_path, capsys):
    out = tmp_path / "mine.h5"
    load = files.FOLDER.parent / "damask" / "paper" / "load.yaml"
    text = table(tmp_path, TABLE + "11,1,0.3,1,1\n")
    maps = [files.FOLDER / "ascii.tesr", files.FOLDER / "nx.dream3d"]
    cells.main(maps, out, text, load=load, derivative="rotated")
    first, *_, unused, last = capsys.readouterr().out.splitlines()
    assert first == (
        f"{maps[0]}: 6 x 4 pixels, 4 grains. It is taken as periodic: 50% of the pixels meet "
        "another grain across the border along x1, 100% along x2, 37% inside"
    )
    assert unused == f"{text}: no map has grain 11"
    assert last == f"{out} written: 2 microstructures"
    data = dataset.read(out)
    assert data.sigma_vm.shape == (2, 5, 6, 4)
    assert data.load.same_as(Load.stretch(1.004, 4))
    assert data.attributes["derivative"] == "rotated"
    assert data.attributes["sources"] == "\n".join(map(str, maps))
    np.testing.assert_array_equal(data.edges, (3, 4))
    np.testing.assert_array_equal(data.properties[0, 2], [80, 0.2, 200, 3])
    with pytest.raises(FileExistsError, match="mine.h5 exists"):
        cells.main(maps, out)


def test_properties_are_drawn_by_the_seed(tmp_path):
    out = tmp_path / "drawn.h5"
    load = files.FOLDER.parent / "damask" / "paper" / "load.yaml"
    cells.main([files.FOLDER / "ascii.tesr"], out, seed=5, load=load, derivative="rotated")
    wanted = table3_properties(generator(5, 0), 4)
    np.testing.assert_array_equal(dataset.read(out).properties[0], wanted)


def test_more_grains_than_a_data_set_keeps_are_refused_before_they_are_solved(tmp_path):
    np.save(tmp_path / "many.npy", np.arange(400).reshape(20, 20))
    with pytest.raises(dataset.DataSetError, match="400 grains, at most 256"):
        cells.main([tmp_path / "many.npy"], tmp_path / "out.h5")


TENSION = """
loadstep:
  - boundary_conditions:
      mechanical:
        dot_F: [[1e-3, 0, 0], [0, x, 0], [0, 0, x]]
        P: [[x, x, x], [x, 0, x], [x, x, 0]]
    discretization: {t: 4, N: 20}
"""


def test_a_load_of_damask_is_read(tmp_path):
    path = tmp_path / "load.yaml"
    path.write_text(TENSION)
    free = np.nan
    wanted = Load([0, 4], [np.eye(3), np.diag([1.004, free, free])]).refined(20)
    assert read_load(path).same_as(wanted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1", "no load file of DAMASK: it has no 'loadstep'"),
        ("loadstep: [", "not valid YAML"),
        (TENSION.replace("N: 20", "M: 20"), "incomplete load, at 'N'"),
        (TENSION.replace("t: 4", "t: four"), "four"),
        (TENSION.replace("[[1e-3, 0, 0]", "[[x, 0, 0]"), "P11 of a load must be finite"),
    ],
)
def test_what_is_no_load_of_damask_is_said_in_one_line(tmp_path, text, said):
    path = tmp_path / "load.yaml"
    path.write_text(text)
    with pytest.raises(SetupError, match=f"^{path}:? .*{said}") as error:
        read_load(path)
    assert "\n" not in str(error.value)
