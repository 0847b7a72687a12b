import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from repro import paper, reference
from repro.data import dataset
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import FlowRule
from repro.data.load import PAPER_LOAD
from repro.data.microstructure import CIRCLE_RADII, Microstructure, random_circles
from repro.data.suites import SUITES
from repro.reference import ConvergenceError, Request, generate

RULE = FlowRule(n=6, M=1, h=3)
OPTIONS = ["--size", "16", "--count", "45", "--workers", "1"]
COMMAND = [sys.executable, "-m", "repro.generate_data", *OPTIONS]


def test_suites_are_what_they_say():
    inclusions = ("circle", "square", "circle15", "circle40", "square25", "square75")
    grains = dict.fromkeys(inclusions, 2) | {"circles": 9, "size128": 40, "size256": 160}
    grains |= {f"grains{count}": count for count in (2, 5, 20, 40)}
    for name, suite in SUITES.items():
        seed, cell = Request(name).microstructure(0)
        assert cell.grain_count == grains.get(name, paper.GRAINS), name
        assert seed[1] == suite.stream
        assert cell.grain_id.shape == (suite.size, suite.size)
    streams = [suite.stream for suite in SUITES.values()]
    assert len(set(streams)) == len(streams)


@pytest.mark.parametrize(
    ("suite", "share"),
    [
        ("circle15", np.pi * 0.15**2),
        ("circle40", np.pi * 0.4**2),
        ("square25", 0.25**2),
        ("square75", 0.75**2),
    ],
)
def test_inclusions_of_other_sizes(suite, share):
    cell = Request(suite, size=256).microstructure(0)[1]
    assert cell.grain_id.mean() == pytest.approx(share, rel=0.02)


def test_out_of_range_is_outside_table_3():
    cell = Request("out_of_range").microstructure(0)[1]
    low, high = np.array(paper.PROPERTY_RANGES).T
    assert ((cell.properties < low) | (cell.properties > high)).all()
    coarse = Microstructure(cell.grain_id[::4, ::4], cell.properties)
    assert np.isfinite(reference.simulate(coarse).sigma_vm).all()  # and it can be solved


def test_elongated_grains_are_longer_along_x1():
    lengths = np.zeros(2)
    for i in range(5):
        grain_id = Request("elongated").microstructure(i)[1].grain_id
        for axis in (0, 1):
            crossed = np.roll(grain_id, 1, axis) != grain_id
            lengths[axis] += 1 / crossed.mean()
    assert 2 < lengths[0] / lengths[1] < 4


def test_circles_do_not_touch_their_periodic_neighbours(rng):
    for _ in range(5):
        grain_id = random_circles(rng, 8, 64)
        areas = np.bincount(grain_id.ravel())[1:] / 64**2
        low, high = np.pi * np.square(CIRCLE_RADII)
        assert (areas > 0.8 * low).all()
        assert (areas < 1.2 * high).all()  # overlaps would have left less or merged


def test_microstructure_depends_on_its_index_alone(data):
    _, third = Request("paper", size=16).microstructure(3)
    np.testing.assert_array_equal(data.grain_id[3], third.grain_id)
    np.testing.assert_array_equal(data.properties[3], third.properties)


def test_data_set_holds_the_simulations(data):
    run = reference.simulate(data.microstructure(4))
    np.testing.assert_array_equal(data.sigma_vm[4], run.sigma_vm.astype(np.float32))
    np.testing.assert_array_equal(data.P_mean[4], run.P_mean)
    np.testing.assert_allclose(data.time, np.linspace(0, 4, 21))


def test_law_of_the_data_is_asked_for_and_said(tmp_path):
    generate(tmp_path / "a.h5", Request("paper", size=8, flow_rule=RULE), 2, progress=False)
    data = dataset.read(tmp_path / "a.h5")
    assert data.solver_options == {"flow_rule": RULE, "discretization": PAPER}
    run = reference.simulate(data.microstructure(1), flow_rule=RULE)
    np.testing.assert_array_equal(data.sigma_vm[1], run.sigma_vm.astype(np.float32))


@pytest.mark.parametrize("change", [{"flow_rule": RULE}, {"tol": 1e-6}, {"seed": 1}])
def test_shards_of_another_law_tolerance_or_seed_are_no_answer(change):
    request = Request("paper", size=8)
    part = request.solve([0, 1])
    assert not request.differs(part, [0, 1])
    older = {k: v for k, v in part.attributes.items() if k not in FlowRule().attributes}
    assert not request.differs(dataclasses.replace(part, attributes=older), [0, 1])
    assert request.differs(part, [0, 2]) == ["microstructures"]
    assert dataclasses.replace(request, **change).differs(part, [0, 1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"suite": "nonsense"}, "unknown suite nonsense: choose from grains5, paper"),
        ({"seed": -2}, "seed must be a non-negative whole number, got -2"),
        ({"size": 0}, "size must be a positive whole number, got 0"),
        ({"tol": 0}, "tol must be positive, got 0"),
        ({"tol": "loose"}, "tol must be a number, got loose"),
        ({"flow_rule": 20}, "flow_rule must be a FlowRule, got 20"),
        ({"discretization": "rotated"}, "discretization must be a Discretization, got rotated"),
        ({"load": 1.004}, "load must be a Load, got 1.004"),
    ],
)
def test_bad_requests_are_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        Request(**{"suite": "paper", **wrong})


def test_what_cannot_be_generated_is_refused_before_anything_is_written(data_file, tmp_path):
    with pytest.raises(FileExistsError, match=data_file.name):
        generate(data_file)
    for wrong, message in (
        ({"request": "nonsense"}, "unknown suite nonsense"),
        ({"request": 3}, "request must be a Request, got 3"),
        ({"count": 0}, "count must be a positive whole number, got 0"),
        ({"workers": -2}, "workers must be a positive whole number, got -2"),
        ({"per_shard": 1.5}, "per_shard must be a positive whole number, got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            generate(tmp_path / "a.h5", **wrong)
    assert not list(tmp_path.iterdir())


def test_a_tolerance_beyond_single_precision_takes_double():
    fine = Discretization("rotated", 2)
    request = Request("paper", size=8, tol=1e-7, discretization=fine)
    data = request.solve([0])
    run = reference.simulate(data.microstructure(0), tol=1e-7, discretization=fine)
    np.testing.assert_array_equal(data.sigma_vm[0], run.sigma_vm.astype(np.float32))
    again = reference.solve([data.microstructure(0)], PAPER_LOAD, fine, tol=1e-7)
    np.testing.assert_array_equal(again.sigma_vm, data.sigma_vm)
    assert again.attributes.items() <= request.attributes.items()


def test_failed_simulation_names_its_microstructure(tmp_path):
    with pytest.raises(ConvergenceError, match=r"microstructure \d+: increment 1 did not converge"):
        generate(tmp_path / "a.h5", Request("paper", size=8, tol=1e-30), 12, progress=False)
    assert not (tmp_path / "a.h5").exists()


def test_killed_generation_goes_on_and_ends_the_same(tmp_path):
    killed, whole = tmp_path / "killed.h5", tmp_path / "whole.h5"
    process = subprocess.Popen([*COMMAND, "--out", killed], stderr=subprocess.DEVNULL)
    shards = tmp_path / "killed.h5.shards"
    while not list(shards.glob("0*.h5")) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in shards.glob("0*.h5")}
    assert done
    assert not killed.exists()
    (shards / ".000025-000045.123.h5").write_text("half a shard")

    for path in (killed, whole):
        subprocess.run([*COMMAND, "--out", path], check=True, capture_output=True)
    assert dataset.data_hash(dataset.read(killed)) == dataset.data_hash(dataset.read(whole))
    assert not shards.exists()


def test_shards_of_another_request_are_refused(data, tmp_path):
    path = tmp_path / "a.h5"
    dataset.write(tmp_path / "a.h5.shards" / "000000-000006.h5", data)  # 16 pixels
    with pytest.raises(ValueError, match=r"of another request \(pixels.*\): remove"):
        generate(path, Request("paper", size=8), 6, progress=False)
