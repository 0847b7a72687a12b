"""Work handed to an engine, and what becomes of it when workers, schedulers and disks fail."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from repro.data import dataset
from repro.reference import Request, generate
from repro.tools import engine

resource = pytest.importorskip("resource")  # not on Windows
distributed = pytest.importorskip("distributed")
REQUEST = {"request": Request("paper", size=32), "count": 100}
OPTIONS = ["--count", "100", "--size", "32", "--per-shard", "5"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """Hash of the data set that this process makes."""
    path = tmp_path_factory.mktemp("whole") / "a.h5"
    generate(path, **REQUEST, progress=False)
    return hash_of(path)


def hash_of(path) -> str:
    return dataset.data_hash(dataset.read(path))


def command(path, *options) -> list:
    return [sys.executable, "-m", "repro.generate_data", "--out", path, *OPTIONS, *options]


def shards(path) -> dict:
    directory = path.with_name(path.name + ".shards")
    return {shard: shard.stat().st_mtime_ns for shard in directory.glob("0*.h5")}


def where(task) -> tuple[int, int, tuple]:
    time.sleep(0.2)
    return task, os.getpid(), tuple(os.sched_getaffinity(0))


def fail(task):
    raise ArithmeticError(f"task {task} failed")


def die(task):
    os._exit(task)


def test_tasks_are_done_here_one_after_another_or_on_threads():
    assert list(engine.run(str, range(5))) == list("01234")
    assert sorted(engine.run(str, range(5), workers=3)) == list("01234")
    assert [pid for _, pid, _ in engine.run(where, [0], workers=2)] == [os.getpid()]
    with pytest.raises(ArithmeticError, match="task 0 failed"):
        list(engine.run(fail, [0], workers=2))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux confines processes")
def test_workers_of_dask_have_a_core_each():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two cores are needed")
    done = list(engine.run(where, range(6), "local", workers=2))
    assert sorted(task for task, *_ in done) == list(range(6))
    cores = {pid: core for _, pid, core in done}
    assert len(cores) == len(set(cores.values())) == 2
    assert all(len(core) == 1 for core in cores.values())
    assert os.getpid() not in cores


def test_a_task_that_kills_its_workers_is_given_up():
    with pytest.raises(OSError, match="several workers died of the same task"):
        list(engine.run(die, [1], "local", workers=2))


def test_without_dask_nothing_asks_for_it_and_one_line_says_how_to_get_it(tmp_path):
    code = (
        "import sys; sys.modules['distributed'] = sys.modules['dask'] = None\n"
        "from repro import generate_data\n"
        "from repro.tools import cli; cli.run(generate_data.main)"
    )
    options = ["--out", tmp_path / "a.h5", "--count", "2", "--size", "8"]
    for more, status, said in ([], 0, ""), (["--dask", "local"], 2, 'pip install ".[cluster]"'):
        options[1] = tmp_path / f"{status}.h5"
        run = subprocess.run(
            [sys.executable, "-c", code, *options, *more], capture_output=True, text=True
        )
        assert run.returncode == status, run.stderr
        assert said in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize("content", ["", '{"type": "Sched', "[1]", '{"address": ""}'])
def test_a_scheduler_file_that_is_cut_off_is_named(tmp_path, content):
    path = tmp_path / "scheduler.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="scheduler.json does not name a scheduler"):
        list(engine.run(str, [0], str(path)))


@pytest.mark.parametrize(
    ("dask", "error"),
    [("nearby", "takes local, tcp://host:port"), ("none.json", "none.json: no such file")],
)
def test_engines_that_there_are_not_are_refused(dask, error):
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        list(engine.run(str, [0], dask))


def test_parts_of_a_job_array_are_the_whole(tmp_path, whole):
    path = tmp_path / "a.h5"
    request = {"path": path, **REQUEST, "per_shard": 7, "progress": False}
    for k in (3, 1):
        generate(**request, part=(k, 3))
    with pytest.raises(FileNotFoundError, match=r"5 of 15 shards are missing, the first .*000007"):
        generate(**request, join=True)
    generate(**request, part=(2, 3))
    assert not path.exists()
    generate(**request, join=True)
    assert hash_of(path) == whole
    assert not shards(path)
    for part in (0, 3), (4, 3):
        with pytest.raises(ValueError, match=f"part {part[0]} of 3"):
            generate(tmp_path / "b.h5", part=part)


def test_two_processes_that_race_for_every_shard(tmp_path, whole):
    path = tmp_path / "a.h5"
    racing = [
        subprocess.Popen(command(path, "--shard", "1/1"), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in racing:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert len(shards(path)) == 20
    assert len(list(path.with_name("a.h5.shards").iterdir())) == 20, "temporary files are left"
    subprocess.run(command(path, "--join"), check=True)
    assert hash_of(path) == whole


def test_killed_worker_then_killed_scheduler_lose_nothing(tmp_path, whole):
    path = tmp_path / "a.h5"
    start = [*command(path, "--dask", "local", "--workers", "2")]
    process = subprocess.Popen(start, stderr=subprocess.DEVNULL)
    try:
        wait_for_shards(process, path, 1)
        workers = workers_of(process)
        workers[0].send_signal(signal.SIGKILL)
        wait_for_shards(process, path, 4)
        assert set(workers_of(process)) != set(workers), "no worker died, or none came instead"
    finally:
        process.kill()  # and the scheduler in it
        process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive, "workers outlive their scheduler"
    done = shards(path)
    assert not path.exists()
    subprocess.run([*start, "--shard", "1/1"], check=True, capture_output=True)
    assert done.items() <= shards(path).items(), "a shard was solved twice"
    subprocess.run(command(path, "--join"), check=True)
    assert hash_of(path) == whole


def wait_for_shards(process, path, count):
    while len(shards(path)) < count:
        assert process.poll() is None, "it has ended"
        time.sleep(0.005)


def workers_of(process) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def limit_file_size(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("full", [0, 1], ids=["first part", "further part"])
def test_disk_that_is_full_for_a_moment_leaves_no_file_with_zeros(tmp_path, full):
    """HDF5 holds arrays back and writes them when it closes them: what fails then is said, too."""
    code = (
        "import resource, sys\n"
        "from repro.data import dataset\n"
        "from repro.reference import Request\n"
        "from tests.test_engine import limit_file_size\n"
        "def parts(full):\n"
        "    data = Request('paper', size=32).solve(range(5))\n"
        "    for i in range(2):\n"
        "        if i == full:\n"
        "            limit_file_size(sum(a.nbytes for a in data.arrays.values()) * full + 60_000)\n"
        "        yield data\n"
        "        limit_file_size(resource.RLIM_INFINITY)\n"
        "dataset.write(sys.argv[1], parts(int(sys.argv[2])))\n"
    )
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", code, path, str(full)]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert re.search(r"OSError: .*a.h5 cannot be written: .*file write failed", run.stderr)
    assert not list(tmp_path.iterdir())


def test_full_disk_of_one_worker_is_said_and_the_rest_is_kept(tmp_path, whole):
    path = tmp_path / "a.h5"
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        full, *_ = client.scheduler_info()["workers"]
        request = {**REQUEST, "per_shard": 5, "progress": False, "dask": cluster.scheduler_address}
        generate(path, **request, part=(1, 2))
        before = shards(path)
        client.run(limit_file_size, 20_000, workers=[full])
        with pytest.raises(
            OSError, match=r"a.h5.shards/0.*h5 cannot be written: .*file write fail"
        ):
            generate(path, **request)
        done = shards(path)
        assert before and set(before) <= set(done)
        for shard in done:
            assert len(dataset.read(shard)) == 5
        client.run(limit_file_size, resource.RLIM_INFINITY, workers=[full])
        generate(path, **request)
    assert hash_of(path) == whole
