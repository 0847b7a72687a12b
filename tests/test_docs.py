"""The texts for readers: their examples run, their commands exist, their links lead somewhere."""

import re
import runpy
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import repro
from repro.data import SUITES, microstructure
from repro.evaluation import METRICS
from repro.evaluation.results import KEYS, PROVENANCE, VALUES
from repro.models import NETWORKS, runs
from repro.surrogate import SURROGATES
from repro.tools import cli
from repro.training import snapshot

ROOT = Path(__file__).parents[1]
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*python -m repro\.(.*)$", re.M)
REGISTRIES = (METRICS, NETWORKS, SUITES, SURROGATES)
# Fewer cells than a reader would take, and as few as possible to calibrate on.
FEWER = (
    ("range(200)", "range(14)"),
    ("tolerance=", "calibration=12, tolerance="),
    ("cells, 2.5, load", "cells, 2.5, load, calibration=12"),
    # It is of cells of 64 x 64 pixels: a notebook takes these.
    ("calibration=learned.calibration", "calibration=12"),
)


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def small_cells(monkeypatch):
    small = partial(microstructure.polycrystal, size=32)
    monkeypatch.setattr(microstructure, "polycrystal", small)


@pytest.fixture
def nothing_stays_registered():
    before = [(registry, dict(registry)) for registry in REGISTRIES]
    yield
    for registry, entries in before:
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("small_cells", "nothing_stays_registered")
@pytest.mark.parametrize("path", [path for path in TEXTS if blocks(path, "python")], ids=name_of)
def test_examples_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(path, "python"):
        for many, few in FEWER:
            block = block.replace(many, few)
        exec(block, names)
    errors = [float(x) for x in re.findall(r"^([\d.]+) MPa off$", capsys.readouterr().out, re.M)]
    assert all(0 < error < 10 for error in errors)
    if "answer" in names:
        assert names["answer"].solved.sum() >= 12
        assert names["answer"].sigma_vm.shape == (14, 21, 32, 32)


def test_the_readme_is_short_and_predicts_a_field():
    readme = ROOT / "README.md"
    assert "models.predict(network, inputs)" in "".join(blocks(readme, "python"))
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("path", [path for path in TEXTS if blocks(path, "sh")], ids=name_of)
def test_commands_take_the_options_that_are_shown(path, monkeypatch):
    def only_parse(main=None, find=None):
        cli._parsed(find() if find else main)

    monkeypatch.setattr(cli, "run", only_parse)
    for line in COMMAND.findall("".join(blocks(path, "sh"))):
        if "NAME" in line or "mine.py" in line:  # of the reader
            continue
        words = shlex.split(line, comments=True)
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_module(f"repro.{words[0]}", run_name="__main__", alter_sys=True)


def test_make_has_the_targets_that_are_shown():
    shell = "".join(block for path in TEXTS for block in blocks(path, "sh"))
    shown = set(re.findall(r"^make (\w+)", shell, re.M))
    assert {"run", "test", "explore", "docs"} <= shown
    assert shown <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_to_files(path):
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\((?!https?:|#|\.\./\.\./actions)([^)#\s]+)", text):
        generated = target.endswith("reference/commands.md") or target == "commands.md"
        assert generated or (path.parent / target).exists(), target


def test_the_page_of_formats_knows_all_columns_and_files():
    text = (ROOT / "docs/reference/formats.md").read_text(encoding="utf-8")
    files = [*runs.RESULT, runs.LAST, snapshot.NAME, snapshot.PREVIOUS]
    assert not [name for name in (*KEYS, *VALUES, *PROVENANCE, *files) if f"`{name}`" not in text]


def test_the_site_builds(tmp_path):
    """Without a broken link, an unknown name, or a public name that has no docstring."""
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = [line for line in build.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert build.returncode == 0, said
    pages = "".join(page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', pages)
    assert "<math" in pages
    assert 'src="figures/pareto.svg"' in (tmp_path / "results" / "RESULTS.html").read_text("utf-8")


def test_the_version_is_the_same_everywhere():
    pattern = re.compile(r"""^\s*"?(?:__)?version(?:__)?"?(?: =|:) "?([\d.]+)"?,?$""", re.M)
    files = ("pyproject.toml", "repro/__init__.py", "CITATION.cff", "codemeta.json")
    found = {name: pattern.findall((ROOT / name).read_text(encoding="utf-8")) for name in files}
    assert set(map(tuple, found.values())) == {(repro.__version__,)}
