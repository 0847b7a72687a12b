"""Files, machines and settings as people have them: the right result, or one clear line."""

import ast
import errno
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from repro import models
from repro.data.dataset import DataSetError
from repro.data.pairs import make_pairs
from repro.models import files as model_files
from repro.models import runs
from repro.models.files import ModelFileError
from repro.tools import cli, files
from repro.training import snapshot
from repro.training.recipes import TrainingConfig
from repro.training.trainer import train

PACKAGE = Path(models.__file__).parents[1]
SHIPPED = sorted(models.SHIPPED.glob("*/*.keras"))


def python(code, *arguments, **environment):
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
        capture_output=True,
    )
    assert run.returncode == 0, run.stderr.decode(errors="replace")
    return run.stdout


# --- Networks and other versions of Keras ------------------------------------------------------


def configured(node):
    """Every (class name, configuration) in the config.json of a .keras file."""
    if isinstance(node, dict):
        if node.get("class_name") in model_files.KNOWN:
            yield node["class_name"], node["config"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from configured(child)


def content(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_networks_hold_nothing_newer_than_the_oldest_keras(path):
    for name, options in configured(content(path)):
        assert options.keys() <= model_files.KNOWN[name], name


@pytest.mark.parametrize("network", models.NETWORKS)
def test_saved_networks_hold_nothing_newer_than_the_oldest_keras(network, tmp_path, rng):
    model = models.NETWORKS[network](filters=2)
    model_files.save(model, tmp_path / "model.keras")
    found = list(configured(content(tmp_path / "model.keras")))
    assert len(found) > 10
    for name, options in found:
        assert options.keys() <= model_files.KNOWN[name], name
    x = rng.uniform(0, 300, (1, 16, 16, model.input_shape[-1])).astype(np.float32)
    reloaded = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(x), model(x))


def test_an_option_that_matters_is_kept_though_it_is_newer():
    layer = {"class_name": "ReLU", "config": {"name": "a", "threshold": 0.0, "trainable": False}}
    newer = {"class_name": "InputLayer", "config": {"name": "a", "optional": True}}
    harmless = {"class_name": "InputLayer", "config": {"name": "a", "optional": False}}
    pytest.importorskip("keras", minversion="3.12")
    assert model_files._without_news([layer, newer]) == [layer, newer]
    assert model_files._without_news(harmless)["config"] == {"name": "a"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"", "the file is empty"),
        (lambda b: b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (lambda b: b"no model", "not a Keras model"),
        (lambda b: b[:-300], "cut off or damaged"),
        (lambda b: b[:5000] + b"?" + b[5001:], "is damaged: copy it again"),
    ],
)
def test_a_file_that_is_no_whole_network_is_called_what_it_is(damage, message, tmp_path):
    path = tmp_path / "model.keras"
    model_files.save(models.paper_unet(filters=2, levels=1), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFileError, match=rf"model.keras: .*{message}"):
        models.load(path)


def test_what_this_keras_cannot_load_is_said_with_both_versions(tmp_path):
    path = tmp_path / "model.keras"
    models.paper_unet(filters=2, levels=1).save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    text = members["config.json"].replace(b'"padding"', b'"from_the_future"')
    members["config.json"] = text
    members["metadata.json"] = b'{"keras_version": "99.1"}'
    with zipfile.ZipFile(path, "w") as file:
        for name, member in members.items():
            file.writestr(name, member)
    wanted = f"Keras {keras.__version__} can load; it was saved by Keras 99.1 .*from_the_future"
    with pytest.raises(ModelFileError, match=wanted):
        models.load(path)


# --- Other backends and a user's keras.json ----------------------------------------------------

GO_ON = """
import sys
from repro import train_paper
from repro.experiments import chain
import inspect
parameters = inspect.signature(train_paper.main).parameters
kind, samples = (parameters[name].annotation for name in ("network", "samples"))
chain._report = lambda *_: None
train_paper.main(
    chain.RunOptions(data=sys.argv[1], out=chain.Path(sys.argv[2]), epochs=int(sys.argv[3])),
    samples=samples(stride=20),
    network=kind(filters=2, levels=1),
)
"""


def test_a_run_goes_on_under_another_backend(data_file, tmp_path):
    pytest.importorskip("tensorflow")
    for epochs, backend in enumerate(("tensorflow", "jax", "tensorflow"), start=1):
        output = python(GO_ON, data_file, tmp_path, epochs, KERAS_BACKEND=backend)
        if epochs > 1:
            assert f"going on after epoch {epochs - 1}" in output.decode()
    assert runs.read_history(tmp_path)["epoch"].tolist() == [1, 2, 3]
    state = snapshot.load(tmp_path, {})
    assert state.optimizer[0] == 3  # steps, one per epoch
    assert {weight.dtype for weight in state.weights} == {np.dtype(np.float32)}
    records = runs.read_environment(tmp_path)
    assert [record["backend"] for record in records] == ["tensorflow", "jax", "tensorflow"]


@pytest.mark.parametrize(
    "setting",
    [
        {"floatx": "float16"},
        {"floatx": "float64"},
        {"image_data_format": "channels_first"},
    ],
)
def test_a_users_keras_json_changes_nothing(setting, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow", **setting}))
    code = (
        "from repro import models; from repro.experiments import shipping; import sys;"
        "print(max(map(shipping.golden_error, sys.argv[1:])))"
    )
    one_of_each = {runs.read_config(path.parent)["network"]: path.parent for path in SHIPPED}
    error = python(code, *one_of_each.values(), KERAS_HOME=str(tmp_path))
    assert float(error) < 1e-3


def test_networks_are_built_in_float32_under_a_mixed_policy(rng):
    before = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    wanted = models.res_unet(filters=2)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        keras.utils.set_random_seed(0)
        network = models.res_unet(filters=2)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(before)
    x = rng.uniform(0, 300, (1, 16, 16, network.input_shape[-1])).astype(np.float32)
    np.testing.assert_array_equal(network(x), wanted(x))


# --- File systems and locales ------------------------------------------------------------------


def refuse(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("call", ["os.link", "os.fsync"])
def test_a_file_system_that_refuses_it_is_no_error(data, tmp_path, monkeypatch, capsys, call):
    monkeypatch.setattr(call, refuse)
    pairs = make_pairs(data, [0], 10)
    network = models.paper_unet(filters=2, levels=1)
    config = TrainingConfig(epochs=3)
    state = train(network, pairs, pairs, config, tmp_path, progress=False)
    assert state.epoch == 3
    whole = [np.load(tmp_path / name) for name in (snapshot.NAME, snapshot.PREVIOUS)]
    epochs = [len(json.loads(str(file["meta"]))["history"]) for file in whole]
    assert epochs == [3, 2]
    assert capsys.readouterr().err == ""


def test_an_output_that_is_not_utf8_stops_no_command():
    for encoding in ("ascii", "cp1252"):
        run = subprocess.run(
            [sys.executable, "-m", "repro.models"],
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"},
            capture_output=True,
        )
        assert run.returncode == 0, run.stderr
        assert b"operations / 10" in run.stdout


def test_text_is_read_and_written_as_utf8_whatever_the_locale():
    """Every call that would take the encoding of the locale is found in the source."""
    careless = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = any(keyword.arg == "encoding" for keyword in node.keywords)
                of_files = isinstance(node.func.value, ast.Name) and node.func.value.id == "files"
                if node.func.attr in ("read_text", "write_text") and not (named or of_files):
                    careless.append(f"{path.name}:{node.lineno}")
    assert not careless


# --- Tables as a spreadsheet saves them --------------------------------------------------------

TABLE = pd.DataFrame({"epoch": [1, 2], "mae_training": [1.5, 0.25], "mae_validation": [2.5, 1.0]})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sep": ";", "decimal": ","},
        {"sep": "\t", "encoding": "utf-16"},
        {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"},
    ],
)
def test_a_table_that_a_spreadsheet_saved_is_read(options, tmp_path):
    TABLE.to_csv(tmp_path / runs.HISTORY, index=False, **options)
    pd.testing.assert_frame_equal(runs.read_history(tmp_path), TABLE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not a table that can be read"),
        (b"\x80\x81\x82,a\n1,2\n", "not a table that can be read"),
        (b"mae_training,mae_validation\n1,2\n", "lacks the column epoch"),
        (b"epoch,mae_training,mae_validation\n1,two,3\n", "mae_training holds something"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(text, message, tmp_path):
    (tmp_path / runs.HISTORY).write_bytes(text)
    with pytest.raises(ValueError, match=rf"history.csv: .*{message}"):
        runs.read_history(tmp_path)


# --- Data that cannot be trained on ------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_is_not_finite_is_refused_by_its_place(data, value):
    stress = data.sigma_vm.copy()
    stress[3, 7, 1, 2] = value
    message = "microstructure 3 has a stress at increment 7 that is NaN or infinite"
    with pytest.raises(DataSetError, match=message):
        make_pairs(replace(data, sigma_vm=stress), [1, 3, 5])
    make_pairs(replace(data, sigma_vm=stress), [1, 5])
    properties = data.properties.copy()
    properties[5, data.grain_id[5, 0, 0]] = value
    with pytest.raises(DataSetError, match="microstructure 5 has a material property that is NaN"):
        make_pairs(replace(data, properties=properties), [1, 3, 5])


def test_a_grid_that_does_not_suit_is_said_with_what_does():
    network = models.paper_unet(filters=2, levels=3)
    models.check_grid(network, 24)
    with pytest.raises(ValueError, match=r"paper_unet .* 20 x 20 pixels: .* multiple of 8"):
        models.check_grid(network, 20)


# --- How training is started -------------------------------------------------------------------


def test_training_runs_in_a_thread(data, tmp_path):
    pairs = make_pairs(data, [0], 10)
    network = models.paper_unet(filters=2, levels=1)
    states = []

    def work():
        states.append(train(network, pairs, pairs, TrainingConfig(1), tmp_path, progress=False))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [state.epoch for state in states] == [1]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--time-limit", "0"], {}, "time_limit must be positive, got 0.0"),
        (["--epochs", "0"], {}, "epochs must be positive, got 0"),
        (["--learning-rate", "-1"], {}, "learning_rate must be positive, got -1.0"),
        (["--stide", "5"], {}, "Unrecognized options: --stide"),
        (["--batch-size", "many"], {}, "Error parsing --batch-size: invalid literal for int"),
        ([], {"KERAS_BACKEND": "nonsense"}, "with the backend nonsense"),
        ([], {"JAX_PLATFORMS": "cuda"}, "JAX_PLATFORMS=cuda, but JAX finds no such device"),
    ],
)
def test_a_wrong_start_is_one_line_before_data_are_read(arguments, environment, message, tmp_path):
    if "cuda" in environment.values() and models.backend.keras.backend.backend() != "tensorflow":
        pytest.skip("JAX may have a GPU here")
    run = subprocess.run(
        [sys.executable, "-m", "repro.train_paper", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
    )
    assert run.returncode == 2
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_subcommand_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["command", "nonsense"])
    with pytest.raises(SystemExit) as stop:
        cli.run({"one": lambda: None, "two": lambda: None})
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Unrecognized options: nonsense")


# --- From an ordinary install ------------------------------------------------------------------


def test_the_package_holds_what_its_code_reads(tmp_path):
    """A wheel has every shipped network and trajectory, and code names no folder outside of it."""
    setuptools = pytest.importorskip("setuptools")
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet", "build_py"]
    root = tmp_path / "source"
    root.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "repro"):
        (root / name).symlink_to(PACKAGE.parent / name)
    run = subprocess.run(
        [*build, "--build-lib", tmp_path / "built"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, (setuptools.__version__, run.stderr)
    built = tmp_path / "built" / "repro"
    code = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    kinds = ("*.h5", "*.css")
    data = {path.relative_to(PACKAGE) for kind in kinds for path in PACKAGE.rglob(kind)}
    data |= {path.relative_to(PACKAGE) for path in SHIPPED}
    assert len(data) > 10
    assert not [path for path in sorted(code | data) if not (built / path).is_file()]
    for path in code:
        assert "tests/" not in (PACKAGE / path).read_text(encoding="utf-8"), path


def test_a_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match=r"config.json: not a text file in UTF-8"):
        files.read_text(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(ValueError, match=r"config.json: not JSON"):
        runs.read_config(tmp_path)
