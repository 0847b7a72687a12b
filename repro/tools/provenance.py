"""What a result was computed with: code commit, versions, hardware."""

import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import repro
from repro.tools import processor


@cache
def code_commit() -> str:
    """Short commit of the checkout, with a + if it has changes; the version outside a checkout."""

    def git(*arguments):
        run = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"v{repro.__version__}"


@cache
def hardware() -> str:
    """Number of cores, processor with its widest instructions, and the accelerator JAX sees."""
    import jax  # takes a while: commands that say no provenance need not wait for it

    device = jax.devices()[0]
    accelerator = "" if device.platform == "cpu" else f", {device.device_kind}"
    return f"{os.cpu_count()} x {processor.name()}{accelerator}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "repro": repro.__version__}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "h5py"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def stamp() -> dict[str, str]:
    """What every row of a result says of where it comes from."""
    return {"command": command_line(), "commit": code_commit(), "hardware": hardware()}


def command_line() -> str:
    """The command as typed, for the provenance of results."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    start = ["python", "-m", spec.name] if spec else [Path(sys.argv[0]).name]
    return shlex.join([*start, *sys.argv[1:]])
