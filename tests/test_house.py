"""The house: which room imports which, and that every room has a face."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import repro

ROOT = Path(repro.__file__).parent
# A room imports only from rooms before it.
ROOMS = (
    "tools",
    "data",
    "reference",
    "models",
    "training",
    "surrogate",
    "damask",
    "evaluation",
    "benchmarks",
    "report",
    "explorer",
    "experiments",
)
COMMANDS = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "paper"}


def imported(source: str) -> set[str]:
    """Full names of what a module of this project imports from it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the room: none is relative"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "repro"}


def part(name: str) -> str:
    """Room, command or module in the root that a full name belongs to."""
    return name.split(".")[1] if "." in name else ""


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_rooms_before_them(room):
    allowed = {*ROOMS[: ROOMS.index(room) + 1], "paper", "", "__version__"}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imported(path.read_text())
        if part(name) not in allowed
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_commands_are_imported_by_nobody():
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in ROOT.rglob("*.py")
        for name in imported(path.read_text())
        if part(name) in COMMANDS
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_the_paper_is_facts_without_logic():
    tree = ast.parse((ROOT / "paper.py").read_text())
    logic = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Import, ast.ImportFrom)
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, logic)]


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_face(room):
    """One sentence that says what it is for, and the names that its users need."""
    module = importlib.import_module(f"repro.{room}")
    assert module.__doc__.strip()
    names = module.__all__
    assert names and len(set(names)) == len(names)
    exec(f"from repro.{room} import *", found := {})
    assert set(names) <= set(found)


def test_data_needs_neither_keras_nor_jax():
    code = (
        "import sys, pkgutil, importlib, repro.data\n"
        "for module in pkgutil.iter_modules(repro.data.__path__, 'repro.data.'):\n"
        "    importlib.import_module(module.name)\n"
        "heavy = {'jax', 'keras', 'tensorflow', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_reader_of_imports_sees_all_of_them():
    source = "import repro.models.layers\ndef f():\n    from repro.report import page, tables\n"
    assert imported(source) == {"repro.models.layers", "repro.report.page", "repro.report.tables"}
    assert [part(name) for name in sorted(imported(source))] == ["models", "report", "report"]
