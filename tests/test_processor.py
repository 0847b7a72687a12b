"""What a process is allowed to use, and what TensorFlow is told of the processor."""

import os
import subprocess
import sys

import pytest

from repro.tools import processor


@pytest.fixture(autouse=True)
def four_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processor, "CGROUP", tmp_path)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    processor._cpuinfo.cache_clear()
    yield
    processor._cpuinfo.cache_clear()


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), ("800000 100000", 4)],
)
def test_the_quota_of_a_container_counts(tmp_path, limit, cores):
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert processor.available_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 4), ("150000", 2)])
def test_the_quota_of_an_older_container_counts(tmp_path, quota, cores):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert processor.available_cores() == cores


def test_the_pools_of_libraries_are_as_large_as_a_container_grants(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for variable in ("TF_NUM_INTRAOP_THREADS", "NPROC"):
        monkeypatch.delenv(variable, raising=False)
    processor.size_pools()
    assert "NPROC" not in os.environ
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    monkeypatch.setenv("NPROC", "1")  # by the user
    processor.size_pools()
    assert (os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["NPROC"]) == ("2", "1")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")


def test_a_quota_of_one_core_gives_jax_one_thread(tmp_path):
    code = f"""
import os
from pathlib import Path
from repro.tools import processor
processor.CGROUP = Path({str(tmp_path)!r})
from repro import reference
from repro.data.microstructure import generator, polycrystal
reference.simulate(polycrystal(generator(0), size=16))
threads = Path("/proc/self/task").iterdir()
print(os.environ["NPROC"], *(Path(thread, "comm").read_text().strip() for thread in threads))
"""
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("threads are counted on Linux")
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    names = python(code).stdout.split()
    assert names[0] == "1"
    assert names.count("tf_XLAEigen") <= 1


def test_without_a_container_the_affinity_counts():
    assert processor.available_cores() == 4


@pytest.mark.parametrize(
    ("flags", "widest"),
    [
        ("fpu sse4_2 avx2", " (AVX2)"),
        ("avx2 avx512f sse4_2", " (AVX-512)"),
        ("avx512f amx_tile avx2", " (AMX)"),
        ("fpu", ""),
    ],
)
def test_the_name_says_the_widest_instructions(tmp_path, flags, widest):
    (tmp_path / "cpuinfo").write_text(f"model name\t: A CPU\nflags\t\t: {flags}\n")
    assert processor.name() == f"A CPU{widest}"


@pytest.mark.parametrize(
    ("environment", "about"),
    [
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, "AVX-512; oneDNN kept to AVX2"),
        (
            {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--a=1 --xla_cpu_max_isa=AVX2"},
            "AVX-512; oneDNN and XLA kept to AVX2",
        ),
        ({"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"}, "AVX-512; XLA kept to SSE4_2"),
        ({"XLA_FLAGS": "--a=1"}, "AVX-512"),
    ],
)
def test_the_name_says_what_libraries_are_kept_to(tmp_path, monkeypatch, environment, about):
    (tmp_path / "cpuinfo").write_text("model name\t: A CPU\nflags\t\t: avx512f\n")
    for variable in ("ONEDNN_MAX_CPU_ISA", "XLA_FLAGS"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert processor.name() == f"A CPU ({about})"


def python(code, **environment):
    there = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=there | environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run


KERNELS = """
import os
from repro.models.backend import keras
keras.Model
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""


def test_the_fast_kernels_are_used_unless_the_user_says_otherwise():
    assert python(KERNELS).stdout == "1\n"
    assert python(KERNELS, TF_ENABLE_ONEDNN_OPTS="0").stdout == "0\n"


def test_one_line_says_that_tensorflow_came_first_without_them():
    code = (
        "import sys, types; from repro.tools import processor\n"
        "processor.flags = lambda: {'avx2'}\n"
        "import tensorflow\n" + KERNELS
    )
    run = python(code)
    assert run.stderr.count("TensorFlow was imported before repro") == 1
    assert run.stdout == "None\n"
