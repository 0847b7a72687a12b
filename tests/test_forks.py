"""Forked processes: they work before the first use of JAX or TensorFlow, and say so after it."""

import os
import subprocess
import sys

import pytest

from repro.tools import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")

SCRIPT = """
import os, warnings
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
warnings.simplefilter("ignore")
from multiprocessing import get_context
import numpy as np
from repro import models, reference
from repro.data import microstructure as ms
from repro.tools import forks

cell = ms.polycrystal(ms.generator(0), 2, 4)


def solve(_):
    return float(reference.simulate(cell, increments=1).sigma_vm.mean())


def predict(_):
    network = models.baseline_unet(filters=1, levels=1)
    return models.predict(network, np.ones((1, 4, 4, 5), np.float32)).shape


def load(_):
    return models.load("paper_unet").name


def in_child(function):
    with get_context("fork").Pool(1) as pool:
        try:
            return pool.map_async(function, [0]).get(50)
        except RuntimeError as error:
            return error

"""


def said(body: str) -> list[str]:
    """Lines that a script prints, whose own children may hang."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT + body],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_after_a_solve_a_forked_process_refuses_to_solve_and_before_it_works():
    before, after = said("print(in_child(solve))\nsolve(0)\nprint(in_child(solve))")
    assert float(before.strip("[]")) > 0
    assert after == (
        "this process was forked after JAX had computed, without the threads that it needs: "
        "start workers with spawn: multiprocessing.get_context('spawn')"
    )


def test_after_a_prediction_a_forked_process_refuses_networks_and_before_it_works():
    before, *after = said(
        "print(in_child(predict))\npredict(0)\nprint(in_child(predict))\nprint(in_child(load))"
    )
    assert before == "[(1, 4, 4, 1)]"
    assert len(after) == 2
    for line in after:
        assert line.startswith("this process was forked after TensorFlow had computed")


def test_a_child_of_a_child_is_refused_and_other_libraries_are_not_looked_at():
    body = """
forks.use("tensorflow")
forks.use("torch")
if not os.fork():
    forks.use("jax")
    forks.use("torch")
    if not os.fork():
        for library in ("jax", "tensorflow"):
            try:
                forks.use(library)
            except RuntimeError as error:
                print(error, flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
forks.use("tensorflow")
"""
    assert [line.split()[5] for line in said(body)] == ["JAX", "TensorFlow"]


def test_this_process_may_compute():
    for library in ("jax", "tensorflow"):
        forks.use(library)
