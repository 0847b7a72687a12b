"""Out to the tools that people have: films, ParaView, xarray, and networks without Keras."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro import animate, models
from repro import export as command
from repro.experiments import exporting, shipping
from repro.models import export
from repro.models.backend import keras
from repro.report import figures, pictures
from repro.report.gallery import Example


@pytest.fixture
def shown(data):
    """Every fifth increment of a cell, beside a network that is 5 MPa off."""
    sigma = data.sigma_vm[1, 5::5]
    return Example(data.property_maps([1])[0], data.F11[5::5], sigma, sigma + 5)


def film(shown):
    return figures.loading_film(shown.F11, shown.sigma_rm, shown.sigma_network)


def test_a_film_shows_every_increment_in_the_same_colours(shown, tmp_path):
    path = tmp_path / "new" / "loading.gif"
    pictures.save_film(path, film(shown))
    with Image.open(path) as gif:
        frames = []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB"), float))
    assert len(frames) == len(shown.F11)
    height, width, _ = frames[0].shape
    fields = (slice(height // 3, 2 * height // 3), slice(width // 20, width // 6))
    brightness = [frame[fields].mean() for frame in frames]
    # Were each scaled by its own stress, they would look alike.
    assert np.all(np.diff(brightness) > 0)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
def test_a_film_is_written_as_mp4(shown, tmp_path):
    pictures.save_film(tmp_path / "loading.mp4", film(shown))
    assert (tmp_path / "loading.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_film_that_cannot_be_written_is_refused_before_anything_is_solved(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"loading.mp4: ffmpeg is not on the PATH"):
        pictures.check_film("loading.mp4")
    with pytest.raises(ValueError, match=r"loading.avi: a film is a \.gif or \.mp4 file"):
        pictures.check_film("loading.avi")


def test_paraview_reads_the_fields_that_were_written(shown, tmp_path):
    damask = pytest.importorskip("damask")
    from repro.report import paraview

    paths = paraview.write(tmp_path / "vti", shown)
    assert [path.name for path in paths] == [f"increment_000{i}.vti" for i in (1, 2, 3, 4)]
    read = damask.VTK.load(paths[3])
    N = len(shown.property_maps)

    def field(label):
        return read.get(label).reshape(N, N, order="F")

    written = {
        "E / GPa": shown.property_maps[..., 0],
        "nu": shown.property_maps[..., 1],
        "sigma_vm reference model / MPa": shown.sigma_rm[3],
        "sigma_vm network / MPa": shown.sigma_network[3],
    }
    for label, values in written.items():
        np.testing.assert_allclose(field(label), values, rtol=1e-6)
    np.testing.assert_allclose(field("sigma_vm difference / MPa"), 5, rtol=1e-4)


def test_the_command_animates_a_cell_of_a_data_set(data_file, stepper_of_five, tmp_path):
    out = tmp_path / "cell.gif"
    animate.main(stepper_of_five, data_file, 5, out=out)
    with Image.open(out) as gif:
        assert gif.n_frames == 4
    with pytest.raises(ValueError, match="no cell 6: the data set has 0 to 5"):
        animate.main(data=data_file, index=6, out=out)


def test_labelled_arrays_say_what_they_hold(data):
    pytest.importorskip("xarray")
    labelled = data.to_xarray()
    assert labelled.sigma_vm.dims == ("cell", "increment", "x1", "x2")
    assert labelled.sigma_vm.shape == (6, 21, 16, 16)
    last = labelled.sigma_vm.swap_dims(increment="F11").sel(F11=1.004, method="nearest")
    np.testing.assert_array_equal(last, data.sigma_vm[:, -1])
    assert labelled.sigma_vm.units == labelled.xi0.units == "MPa"
    assert labelled.time.units == "s"
    np.testing.assert_array_equal(labelled.h0, data.properties[..., 3])
    # The loading direction comes first.
    row = labelled.grain_id.isel(cell=2).sel(x1=3.5 / 16)
    np.testing.assert_array_equal(row, data.grain_id[2, 3])
    assert labelled.attrs["suite"] == data.attributes["suite"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """An untrained network with its golden output."""
    path = tmp_path_factory.mktemp("shipped") / "tiny"
    path.mkdir()
    keras.utils.set_random_seed(0)
    network = models.paper_unet(filters=2, levels=2, circular=True)
    network.save(path / "best.keras")
    x = shipping.golden_input()
    np.savez(path / shipping.GOLDEN, x=x, y=models.predict(network, x))
    return path


@pytest.mark.parametrize("name", export.FORMATS)
def test_an_exported_network_gives_the_golden_output_and_takes_any_grid(shipped, tmp_path, name):
    if name == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    out = tmp_path / "new" / f"tiny{export.FORMATS[name].suffix}"
    for _ in range(2):  # the second replaces the first
        path, found = exporting.export(str(shipped), name, out)
    assert path == out
    assert [one[:3] for one in found] == [
        ("the golden output of tiny", 2, 64),
        ("the network in Keras", 2, 128),
    ]
    assert max(one.difference for one in found) < 0.01
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


def test_an_exported_network_of_another_output_is_pointed_out(shipped, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(shipped, other)
    x, y = shipping.golden(shipped)
    y[1, 3, 5] -= 2
    np.savez(other / shipping.GOLDEN, x=x, y=y)
    assert command.main(str(other), "savedmodel", tmp_path / "exported") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "- 2 MPa from the golden output of other, 2 cells of 64 x 64 pixels"
    assert said[-1] == "That is more than 0.1 MPa: do not use it."


def test_a_network_of_one_grid_is_compared_on_that(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fixed.keras"
    models.on_grid(models.load(shipped), 16).save(path)
    out, (found,) = exporting.export(str(path), "savedmodel")
    assert out == Path("exported", "fixed")
    assert found[:3] == ("the network in Keras", 2, 16)
    assert found.difference < 0.01


def test_what_cannot_be_exported_is_one_line(shipped, tmp_path, monkeypatch):
    network = models.load(shipped)
    with pytest.raises(FileExistsError, match="is a folder, and no SavedModel: choose another"):
        export.export(network, tmp_path, "savedmodel")
    with pytest.raises(ValueError, match=r"a.onnx: a file of the format litert ends in \.tflite"):
        export.export(network, tmp_path / "a.onnx", "litert")

    def refuse(self, *_, **__):
        raise ValueError("Unrecognized\nformat")

    monkeypatch.setattr(keras.Model, "export", refuse)
    message = r"cannot export paper_unet to litert: .* a newer Keras \(Unrecognized format\)$"
    with pytest.raises(ValueError, match=message):
        export.export(network, tmp_path / "a.tflite", "litert")
    monkeypatch.setattr(export, "find_spec", lambda module: None if "2" in module else module)
    with pytest.raises(ImportError, match=r"^onnx needs tf2onnx: pip install '\.\[export\]'$"):
        export.export(network, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_jax_loads_a_network_and_says_in_one_line_what_it_cannot_export_to(shipped, tmp_path):
    arguments = shipped, "--format", "litert", "--out", tmp_path / "a.tflite"
    run = subprocess.run(
        [sys.executable, "-m", "repro.export", *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    said = run.stderr.splitlines()[-1]
    assert "the backend jax cannot export paper_unet to litert: use KERAS_BACKEND=tens" in said
    assert "Traceback" not in run.stderr
