"""The benchmarks in miniature, and the pages made from their rows."""

import os
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
import pytest

from repro import models, paper
from repro.benchmarks import commands, reference, scaling, training, verification
from repro.reference import TOLERANCE
from repro.report import benchmark_pages
from repro.tools import processor, timing

ABOUT = {"command": "python -m repro.benchmark x", "commit": "abc", "hardware": "a machine"}


def test_timing_is_in_turn_of_the_fastest_and_without_the_first_call(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: clock[0] / 2)

    def solve(name, seconds):
        calls.append(name)
        first, disturbed = len(calls) <= 2, len(calls) > 4
        clock[0] += 0.01 if first else seconds + disturbed
        return f"{name} {len(calls)}"

    variants = {"slow": lambda: solve("slow", 2.0), "fast": lambda: solve("fast", 0.2)}
    found = timing.timed(variants, repeats=2)
    assert calls == ["slow", "fast"] * 3, "variants are not measured in turn"
    assert found["slow"][:2] == pytest.approx((2.0, 1.0))
    assert found["fast"].each(10) == pytest.approx({"seconds": 0.02, "cpu_seconds": 0.01})
    assert found["slow"].result == "slow 5"


def test_timing_by_another_clock():
    ticks = iter([10.0, 13.0])
    found = timing.timed({"epoch": lambda: None}, 1, clock=lambda: next(ticks))
    assert found["epoch"].seconds == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux confines processes")
def test_a_process_on_one_core_has_one_core():
    before = os.sched_getaffinity(0)
    with timing.process_on(1) as call:
        assert call(processor.available_cores) == 1
    assert os.sched_getaffinity(0) == before


def test_cores_that_cannot_be_confined_are_refused(monkeypatch):
    monkeypatch.delattr(timing.os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(timing, "available_cores", lambda: 2)
    with timing.confined_to(2):
        pass
    with pytest.raises(ValueError, match="1 of the cores can only be measured on Linux"):
        timing.confined_to(1).__enter__()


@pytest.fixture(scope="module")
def speed_rows():
    rows = [
        *reference.over_tolerance(tolerances=(1e-5, TOLERANCE), count=1, repeats=1),
        *reference.over_grid({16: 1, 64: 1}, repeats=1),
        *reference.over_batch((1, 2), size=16, repeats=1),
        *reference.over_workers(count=2, size=16, repeats=1),
        {"sweep": "first simulation", "N": 16, "seconds": 1.0, "cpu_seconds": 1.0},
    ]
    return pd.DataFrame(rows).assign(cores=1, device="cpu", load_before=0.5, **ABOUT)


def test_speed_is_measured_with_its_error(speed_rows):
    ours = speed_rows[(speed_rows["sweep"] == "tolerance") & (speed_rows["solver"] == "this")]
    loose, default = ours.to_dict("records")
    assert loose["evaluations"] < default["evaluations"]
    assert loose["mae"] > 10 * default["mae"] > 0
    assert default["mae_damask"] < 0.01 < loose["mae_damask"]
    theirs = speed_rows[speed_rows["solver"] == "DAMASK"]
    assert (theirs["mae"] < 0.1).all() and (theirs["seconds"] > 10).all()
    assert (speed_rows["seconds"] > 0).all()


def test_page_of_speed(speed_rows, tmp_path):
    page = benchmark_pages.write("benchmark_reference", speed_rows, tmp_path)
    text = page.read_text()
    assert "nan" not in text and "commit abc on a machine" in text
    for picture in ("error", "grid"):
        name = f"benchmark_reference_{picture}.png"
        assert name in text and (tmp_path / name).stat().st_size > 5000
    again = pd.read_csv(tmp_path / "benchmark_reference.csv")
    np.testing.assert_allclose(again["seconds"], speed_rows["seconds"])


def test_page_of_verification_shows_what_failed(tmp_path):
    measured = [
        verification.Finding("a", "case", "error", 0.5, "MPa", 3, high=1.0),
        verification.Finding("a", "case", "order", 0.2, "", 3, 0.9, 1.1),
        verification.Finding("b", "", "change", 7.0, "MPa", 1),
    ]
    assert [m.passed for m in measured] == [True, False, True]
    rows = pd.DataFrame([asdict(m) | {"passed": m.passed, "wall_s": 1} for m in measured])
    text = benchmark_pages.write("verification", rows.assign(**ABOUT), tmp_path).read_text()
    assert "3 measurements, 2 of them with bounds, of which 1 are kept" in text
    assert "| case | error | 0.500 | MPa | 3 | ≤ 1 | yes |" in text
    assert "| case | order | 0.200 |  | 3 | 0.9 … 1.1 | **no** |" in text
    assert len(pd.read_csv(tmp_path / "verification.csv")) == 3


def test_measurement_that_is_no_number_does_not_pass():
    assert not verification.Finding("a", "", "error", np.nan, "", 1, high=1.0).passed


def test_trainer_is_measured_beside_plain_fit_and_layer_by_layer(data, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow")
    small = partial(models.paper_unet, filters=2, levels=1, kernel=3)
    monkeypatch.setitem(models.NETWORKS, "paper_unet", small)
    kernels = []

    @contextmanager
    def in_this_process(cores):
        kernels.append(os.environ["TF_ENABLE_ONEDNN_OPTS"])
        yield lambda function, *arguments: function(*arguments)

    monkeypatch.setattr(training, "process_on", in_this_process)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    rows = training.run(data, batches=2, repeats=1)
    assert kernels == ["0"]
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    assert (rows["seconds"] > 0).all()
    epoch = rows[rows["sweep"] == "epoch"]
    assert epoch["contender"].tolist() == ["plain fit", "trainer", "plain fit without oneDNN"]
    assert (epoch["n"] == 2 * paper.BATCH_SIZE).all()
    layers = rows[rows["sweep"] == "layers"].set_index(["layer", "contender"])["layers"]
    assert layers["SeparableConv2D"].tolist() == [2, 2]
    assert layers["BatchNormalization"].tolist() == [1, 1]

    benchmark_pages.write("benchmark_training", rows, tmp_path)
    elsewhere = rows.assign(hardware="a GPU", seconds=rows["seconds"] / 10)
    elsewhere.loc[elsewhere["contender"] == "plain fit", "seconds"] *= 2
    elsewhere = elsewhere[elsewhere["sweep"] == "epoch"].dropna(axis="columns")
    page = benchmark_pages.write("benchmark_training", elsewhere, tmp_path / "gpu")
    assert "Layers" not in page.read_text()
    page = benchmark_pages.write("benchmark_training", elsewhere, tmp_path)
    assert len(pd.read_csv(tmp_path / "benchmark_training.csv")) == len(rows) + 3
    text = page.read_text()
    fit, trainer = (
        epoch.loc[epoch["contender"] == c, "seconds"].item() for c in ("plain fit", "trainer")
    )
    (line,) = [
        line for line in text.splitlines() if line.startswith("| paper_unet | tensorflow | a GPU")
    ]
    ratio, hours = (float(cell) for cell in line.split("|")[-3:-1])
    assert ratio == pytest.approx(2 * fit / trainer, rel=5e-3)
    assert hours == pytest.approx(500 * 16000 * trainer / 10 / epoch["n"].iloc[0] / 3600, rel=5e-3)


def test_engines_files_and_memory_are_measured_and_planned_with(monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    monkeypatch.setattr(scaling, "EMPTY_TASKS", 20)
    monkeypatch.setattr(scaling, "available_cores", lambda: 1)
    rows = scaling.run(count=30, repeats=1, size=16)
    assert (rows["seconds"] > 0).all()
    by = rows.set_index(["sweep", "contender"])
    assert (by.loc["engine", "cpu_seconds"] > 0).all()
    fields = 21 * 16**2 * 4
    assert fields < by.loc[("make", "joined"), "bytes"].item() < 1.5 * fields
    assert fields < by.loc[("training", "memory"), "bytes"].item() < 4 * fields
    assert by.loc[("training", "file"), "bytes"].item() < 0.5 * fields

    page = benchmark_pages.write("benchmark_scaling", rows.assign(**ABOUT), tmp_path).read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("| 10,000,000 | 1000 |")]
    hours, terabytes, shards = (cell.strip() for cell in line.split("|")[3:6])
    solve = by.loc[("engine", "dask"), "cpu_seconds"].item()
    assert float(hours) == pytest.approx(1e7 * solve / 3600, rel=5e-3)
    joined = by.loc[("make", "joined"), "bytes"].item()
    assert float(terabytes) == pytest.approx(1e7 * joined / 1e12, rel=5e-3)
    assert shards == "10,000"
    assert "nan" not in page


def test_commands_are_measured_in_processes_of_their_own(tmp_path):
    rows = commands.run({"two names": "paper", "help": "verify_data --help"})
    assert rows["job"].tolist() == ["two names", "help"]
    assert (rows["seconds"] > 0).all()
    assert rows["memory_MiB"].between(5, 1000).all()
    page = benchmark_pages.write("benchmark_commands", rows, tmp_path)
    benchmark_pages.write("benchmark_commands", rows.assign(hardware="another"), tmp_path)
    benchmark_pages.write("benchmark_commands", rows.assign(hardware="another"), tmp_path)
    assert page.read_text().count("| two names |") == 2


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="nothing.h5: no such file"):
        commands.run({"fails": "verify_data nothing.h5"})
