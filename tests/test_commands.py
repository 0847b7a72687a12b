"""The commands as a user types them; `make run`'s path in miniature."""

import inspect
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from repro import models, paper, train_advanced, train_baseline, train_paper
from repro.data import dataset
from repro.evaluation.results import KEYS, read_rows
from repro.experiments import chain
from repro.experiments.options import training_command
from repro.models import runs
from repro.reference import Request, generate, generation
from repro.report import gallery, page, pictures
from repro.tools import cli, extensions
from repro.training import snapshot
from repro.training.devices import DistributedEngine
from repro.training.recipes import TrainingConfig, recipe_of
from repro.training.snapshot import SnapshotError


def command(module, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"repro.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )


def in_process(module, *arguments):
    """As `command`, in this process, where what takes seconds to import is there."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        patch.setattr(sys, "argv", [module, *map(str, arguments)])
        runpy.run_module(f"repro.{module}", run_name="__main__", alter_sys=True)
    return subprocess.CompletedProcess(module, stop.value.code or 0, out.getvalue(), err.getvalue())


def last_error(run):
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A quick run that generates its data, on cells of 64 pixels."""
    base = tmp_path_factory.mktemp("quick")
    miniature = {"count": 3, "epochs": 1}
    code = (
        "from inspect import signature;"
        "from repro import train_paper; from repro.experiments import chain as e;"
        f"e.PRESETS['quick'].update({miniature});"
        "samples = signature(train_paper.main).parameters['samples'].annotation(stride=20);"
        "train_paper.main(e.RunOptions('quick'), samples=samples)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=base,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
    return base, run.stdout


def test_quick_run_verifies_trains_evaluates_and_draws(trained):
    base, output = trained
    out = base / "runs" / "quick" / "paper_unet"
    assert "grains a microstructure: 10 grains x 3" in output
    for name in ("best.keras", "last.keras", "history.csv", "config.json", "environment.json"):
        assert (out / name).is_file(), name
    for name in ("prediction.png", "learning_curve.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    results = pd.read_csv(out / "results.csv")
    assert set(results["model"]) == {"paper_unet", "persistence", "training mean", "Taylor"}
    assert set(results["mode"]) == {"one-step", "rollout"}
    assert set(results["split"]) == {"training", "validation"}
    assert results["value"].notna().all()
    page = (out / "RESULTS.md").read_text()
    assert f"| {paper.MAE_VALIDATION} |" in page


def test_evaluate_and_make_tables(trained, monkeypatch):
    base, _ = trained
    # One of each kind of picture will do.
    monkeypatch.setattr(page, "FIELD_FIGURES", {1: page.FIELD_FIGURES[1]})
    monkeypatch.setattr(page, "_points_example", lambda: gallery.points_example((1, 2)))
    table = base / "results.csv"
    arguments = ("--data", base / "data" / "quick.h5", "--results", table)
    run = in_process("evaluate", "--model", base / "runs" / "quick" / "paper_unet", *arguments)
    assert run.returncode == 0, run.stderr
    first = read_rows(table)
    original = read_rows(base / "runs" / "quick" / "paper_unet" / "results.csv")
    both = first.merge(original, on=KEYS)
    assert len(both) == len(original)
    assert both["value_x"].tolist() == pytest.approx(both["value_y"].tolist(), rel=1e-6)
    # Evaluating again replaces the rows.
    in_process("evaluate", "--model", base / "runs" / "quick" / "paper_unet", *arguments)
    assert len(read_rows(table)) == len(first)
    run = in_process("make_tables", "--directory", base)
    assert run.returncode == 0, run.stderr
    assert "| paper_unet, 1 epochs" in (base / "RESULTS.md").read_text()
    wanted = f"| 10 grains, validation | {paper.MAE_VALIDATION} |"
    assert wanted in (base / "NETWORKS.md").read_text()
    assert in_process("make_tables", "--directory", base, "--check").returncode == 0


def test_verify_data_judges_by_exit_status(data_file):
    run = in_process("verify_data", data_file)
    assert run.returncode == 1
    assert "FAIL pixels" in run.stdout


def test_wrong_inputs_end_in_one_line(data_file, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no data")
    assert "notes.txt: not a readable HDF5 file" in last_error(in_process("verify_data", text))
    run = command("train_paper", "--data", text, "--out", tmp_path)
    assert "notes.txt: not a readable HDF5 file" in last_error(run)
    run = in_process("train_paper", "--data", data_file, "--stride", 3, "--out", tmp_path)
    assert "stride 3 does not divide the 20 increments" in last_error(run)
    run = in_process("evaluate", "--model", "nonsense", "--data", data_file)
    assert "no model nonsense" in last_error(run)
    run = in_process("evaluate", "--model", "nonsense", "--suite", "case1", "--directory", tmp_path)
    assert "no model nonsense" in last_error(run)
    assert not list(tmp_path.glob("*.h5*"))  # nothing was generated before
    run = in_process("generate_data", "--out", data_file)
    assert f"{data_file} exists" in last_error(run)
    run = in_process("train_paper", "--data", tmp_path / "typo.h5", "--out", tmp_path / "run")
    assert "typo.h5: no such file" in last_error(run)
    run = in_process("train_paper", "--data", tmp_path, "--out", tmp_path / "run")
    assert f"{tmp_path}: a folder" in last_error(run)
    run = in_process("train_paper", "--data", data_file, "--out", text)
    assert "notes.txt is a file: choose another --out" in last_error(run)


def test_a_stride_is_refused_before_data_is_generated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="stride 7 does not divide the 20 increments"):
        train_paper.main(chain.RunOptions("quick"), samples=sample_options(stride=7))
    assert not (tmp_path / "data").exists()


def test_ctrl_c_ends_in_one_word(monkeypatch, capsys):
    def main():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_ends_early_is_no_error():
    code = (
        "from repro.tools import cli\n"
        "cli.ending_in_a_line(lambda: [print('line', flush=True) for _ in range(100_000)] and 0)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("command", "network", "config"),
    [
        (train_paper, "paper_unet", TrainingConfig(batch_size=16, learning_rate=1e-3)),
        (train_baseline, "baseline_unet", TrainingConfig(learning_rate=1e-4, patience=10)),
        (train_advanced, "res_unet", recipe_of("res_unet")),
    ],
)
def test_default_runs_are_at_full_scale(data, monkeypatch, command, network, config):
    seen = {}

    def train(model, training, validation, config, out, *_, engine, **__):
        seen.update(model=model, stride=training.stride, config=config, out=out, engine=engine)
        return snapshot.TrainingState([], [], [], [])

    monkeypatch.setattr(generation, "generate", lambda _, request, count: seen.update(count=count))
    monkeypatch.setattr(chain.dataset, "read", lambda path, in_memory: data)
    monkeypatch.setattr(chain.trainer, "train", train)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    command.main(chain.RunOptions(distribute=True))
    assert seen["engine"] is DistributedEngine
    command.main()
    assert seen["engine"] is None
    assert seen["model"].name == network
    assert (seen["count"], seen["stride"]) == (1000, 1)
    assert seen["config"] == replace(config, epochs=500)
    assert seen["out"] == Path("runs", network)


def test_every_option_of_the_builder_is_part_of_the_identity_of_a_run(data_file, tmp_path):
    train_paper.main(
        chain.RunOptions(data=data_file, out=tmp_path, epochs=1),
        samples=sample_options(stride=20),
        network=network_options("paper_unet", filters=2, bias=False, normalization="min-max"),
    )
    # Names and values that runs under way are recognized by.
    config = runs.read_config(tmp_path)
    wanted = {
        "network": "paper_unet",
        "bounds": "min-max",
        "skips": "pooled",
        "convolutions": 1,
        "levels": 4,
        "filters": 2,
        "separable": True,
        "circular": False,
        "bias": False,
        "glorot_bias": False,
        "relu_first": False,
        "sigmoid": False,
        "stride": 20,
    }
    assert config | wanted == config
    with pytest.raises(SnapshotError, match="sigmoid = False, not True"):
        train_paper.main(
            chain.RunOptions(data=data_file, out=tmp_path, epochs=1),
            samples=sample_options(stride=20),
            network=network_options(
                "paper_unet", filters=2, bias=False, sigmoid=True, normalization="min-max"
            ),
        )


def sample_options(name="paper_unet", **options):
    return inspect.signature(training_command(name)).parameters["samples"].annotation(**options)


def network_options(name, **options):
    return inspect.signature(training_command(name)).parameters["network"].annotation(**options)


def test_results_are_there_where_no_picture_can_be_drawn(data_file, tmp_path, monkeypatch, capsys):
    def fail(figure):
        raise RuntimeError("latex could not be found")

    monkeypatch.setattr(pictures, "png", fail)
    options = chain.RunOptions(data=data_file, out=tmp_path, epochs=1)
    network = network_options("paper_unet", filters=2)
    train_paper.main(options, samples=sample_options(stride=20), network=network)
    assert (tmp_path / "results.csv").is_file()
    assert (tmp_path / "RESULTS.md").is_file()
    said = capsys.readouterr().out
    for name in ("prediction.png", "learning_curve.png"):
        assert f"{tmp_path / name} could not be drawn (RuntimeError: latex could not" in said


NEW_NETWORK = '''
from repro.models.backend import keras
from repro.models.layers import normalize, physical_inputs, to_stress
from repro.models.registry import register


@register("three convolutions", learning_rate=2e-3)
def three(channels: int = 4):
    """Nothing else.

    Parameters
    ----------
    channels : int
        Channels between input and output.
    """
    inputs = x = physical_inputs()
    x = normalize(x)
    for _ in range(2):
        x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, to_stress(keras.layers.Conv2D(1, 1)(x)), name="three")
'''


def test_a_network_in_a_file_of_ones_own_is_trained(data_file, tmp_path):
    own, out = tmp_path / "three.py", tmp_path / "run"
    own.write_text(NEW_NETWORK)
    run = command(
        *("train", own, "--channels", 3, "--data", data_file, "--out", out),
        *("--epochs", 1, "--stride", 10),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    config = runs.read_config(out)
    assert (config["network"], config["channels"], config["learning_rate"]) == ("three", 3, 2e-3)
    assert "three" in (out / "RESULTS.md").read_text(encoding="utf-8")
    help_text = command("train", own, "--help", cwd=tmp_path).stdout
    assert "Channels between input and output." in help_text


def test_a_file_without_a_network_is_refused_and_one_with_two_asks_for_a_name(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("")
    assert "registers no network" in last_error(in_process("train", own))
    own.write_text(NEW_NETWORK + NEW_NETWORK.replace("def three", "def two"))
    assert last_error(in_process("train", own)) == (
        f"error: {own} registers three, two: name one after it"
    )
    assert "Train three convolutions" in in_process("train", own, "two", "--help").stdout
    missing = tmp_path / "none.py"
    assert last_error(in_process("train", missing)) == f"error: no file {missing}"


def test_commands_are_listed_with_what_they_do():
    run = subprocess.run([sys.executable, "-m", "repro"], capture_output=True, text=True)
    assert run.returncode == 0
    listed = re.findall(r"^python -m repro\.(\w+) +\w+", run.stdout, re.M)
    root = Path(models.__file__).parents[1]
    commands = {path.stem for path in root.glob("*.py")} - {"__init__", "__main__", "paper"}
    assert set(listed) == commands | {"models"}


@pytest.mark.parametrize("name", models.NETWORKS)
def test_help_is_in_words_of_a_user(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["command", "--help"])
    with pytest.raises(SystemExit):
        cli.run(training_command(name))
    text = capsys.readouterr().out
    # Where the output is no terminal there is no frame.
    groups = re.findall(r"^\W*(\w+) options\W*$", text, re.M)
    of_samples = [] if name == "direct_prediction" else ["samples"]
    assert groups == ["run", "training", *of_samples, "network"]
    assert not re.search(r"^[│ ]*(--\S+ .*  )?Of ", text, re.M)


SLOW_TO_IMPORT = {"keras", "tensorflow", "jax", "pandas", "matplotlib"}
RUN_AND_SAY_WHAT_IS_IMPORTED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as stop:
    print("exit", stop.code, file=sys.stderr)
print(*sys.modules, file=sys.stderr)
"""
WITH_OPTIONS = [
    "repro.models",
    *(f"repro.{path.stem}" for path in Path(models.__file__).parents[1].glob("[a-z]*.py")),
]
WITH_OPTIONS.remove("repro.paper")


@pytest.mark.parametrize(("option", "status"), [("--help", 0), ("--no-such-option", 2)])
@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_options_are_answered_without_importing_what_takes_seconds(name, option, status):
    run = subprocess.run(
        [sys.executable, "-c", RUN_AND_SAY_WHAT_IS_IMPORTED, name, option],
        capture_output=True,
        text=True,
    )
    said, modules = run.stderr.splitlines()[-2:]
    assert said == f"exit {status}", run.stderr
    assert not SLOW_TO_IMPORT & set(modules.split())


def test_networks_are_imported_without_what_computes_them():
    script = "import repro.models, sys; print(*sys.modules); repro.models.paper_unet(filters=2)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not SLOW_TO_IMPORT & set(run.stdout.split())


MINE = """
from repro.data.load import Load
from repro.data.microstructure import polycrystal
from repro.data.suites import SUITES, Suite
from repro.evaluation.metrics import METRICS, Metric
from repro.models.runs import Run
from repro.surrogate import Prediction, Surrogate, register
import numpy as np

def largest(predicted, true):
    return float(np.abs(predicted - true).max())

class Nothing(Surrogate):
    run = Run("nothing", epochs=0)

    def __call__(self, cells, load):
        shape = len(cells), len(load.time), *cells[0].grain_id.shape
        return Prediction(np.zeros(shape, np.float32), np.ones(len(cells)))

SUITES["mine"] = Suite("my cells", polycrystal, stream=999, count=2, size=16,
                       load=Load.through([1.001, 1.0], 2))
METRICS["largest"] = Metric(largest)
register("nothing", Nothing)
"""


def test_a_file_of_a_user_adds_a_suite_a_metric_and_a_surrogate(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    use = ("-m", "repro", "--use", "mine.py", "evaluate", "--model", "nothing", "--suite", "mine")
    data = tmp_path / "data"
    data.mkdir()
    generate(data / "paper.h5", Request("paper", size=16), 5, progress=False)
    run = subprocess.run(
        [sys.executable, *use, "--results", "results.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
    found = pd.read_csv(tmp_path / "results.csv")
    found = found[(found["model"] == "nothing") & found["increment"].isna()]
    assert set(found["suite"]) == {"mine"} and set(found["kind"]) == {"surrogate"}
    whole = found[(found["region"] == "all") & found["distance_px"].isna()]
    means = whole.set_index("metric")["value"]
    assert means["largest"] > means["MAE"] > 10


def test_a_file_of_a_user_that_is_no_python_is_said_in_a_line(tmp_path):
    (tmp_path / "mine.py").write_text("x = (")
    with pytest.raises(ValueError, match=r"mine.py is no Python: '\(' was never closed"):
        extensions.use(tmp_path / "mine.py")


# Each command that touches a network, with what it needs to get there.
WITH_A_NETWORK = {
    "animate": [],
    "benchmark": ["speed"],
    "evaluate": ["--model", "paper_unet"],
    "export": ["paper_unet", "--format", "savedmodel"],
    "make_tables": [],
    "models": [],
    "ship_model": ["run"],
    "study": ["open_choices"],
    "train": ["own.py", "--preset", "quick"],
    "train_advanced": ["--preset", "quick"],
    "train_baseline": ["--preset", "quick"],
    "train_paper": ["--preset", "quick"],
}
WITHOUT_TORCH = """
import io, json, os, runpy, sys
from contextlib import redirect_stderr, redirect_stdout


class NoTorch:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named '{name}'")


os.environ["KERAS_BACKEND"] = "torch"
sys.meta_path.insert(0, NoTorch)
said = {}
for name, options in json.loads(sys.argv[1]).items():
    sys.argv, out = [name, *options], io.StringIO()
    try:
        with redirect_stderr(out), redirect_stdout(out):
            runpy.run_module(f"repro.{name}", run_name="__main__", alter_sys=True)
    except BaseException as error:
        said[name] = f"{type(error).__name__} {error}: {out.getvalue()}"
print(json.dumps(said))
"""


def test_a_backend_that_is_not_installed_ends_every_command_in_one_line(tmp_path):
    (tmp_path / "own.py").write_text(NEW_NETWORK)
    (tmp_path / "run").mkdir()
    for name in runs.RESULT:
        shutil.copyfile(models.SHIPPED / "paper_unet" / name, tmp_path / "run" / name)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, json.dumps(WITH_A_NETWORK)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said.keys() == WITH_A_NETWORK.keys()
    for line in said.values():
        assert re.fullmatch(
            r"SystemExit 2: error: Keras cannot be imported with the backend torch \(.*torch.*\): "
            r"set KERAS_BACKEND to tensorflow or jax, or install it\n",
            line,
        )
    assert {path.name for path in tmp_path.iterdir()} == {"own.py", "run"}  # nothing was done


def test_a_warning_of_a_command_is_one_line(data_file, tmp_path):
    path = tmp_path / "pascal.h5"
    data = dataset.read(data_file)
    with pytest.warns(UserWarning):
        dataset.write(path, replace(data, properties=data.properties * [1000, 1, 1, 1]))
    run = command("verify_data", path)
    (line,) = run.stderr.splitlines()
    assert re.match(r"warning: E of grain 0 of microstructure 0 is \S+, above 2000 GPa", line)
