"""What a result was computed with: code commit, versions, hardware."""

import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import jax

import repro


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
    device = jax.devices()[0]
    accelerator = "" if device.platform == "cpu" else f", {device.device_kind}"
    return f"{os.cpu_count()} x {_processor()}{accelerator}"


# Flag in /proc/cpuinfo -> instruction set, the widest first: times depend on it more than on names.
INSTRUCTIONS = {
    "amx_tile": "AMX",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sse4_2": "SSE4",
    "asimd": "NEON",
}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    about = {key.strip(): value.strip() for key, _, value in (li.partition(":") for li in lines)}
    flags = (about.get("flags") or about.get("Features") or "").split()
    widest = next((name for flag, name in INSTRUCTIONS.items() if flag in flags), None)
    name = about.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({widest})" if widest else name


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
