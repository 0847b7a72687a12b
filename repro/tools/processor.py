"""What the processor is, and how much of it this process may use."""

import math
import os
import platform
import re
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
# Flag in /proc/cpuinfo -> instruction set, the widest first: times depend on it more than on names.
INSTRUCTIONS = {
    "amx_tile": "AMX",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sse4_2": "SSE4",
    "asimd": "NEON",
}


def available_cores() -> int:
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    known = hasattr(os, "sched_getaffinity")
    allowed = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def size_pools() -> None:
    """Let TensorFlow and JAX start as many threads as this process has cores.

    They know its affinity, but not the quota of a container. To be called before they compute; what
    a user has set stays.
    """
    cores = str(available_cores())
    if os.cpu_count() != int(cores):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", cores)
        os.environ.setdefault("NPROC", cores)  # by which XLA sizes its pool


def _quota() -> float:
    """Cores' worth of time that the control group grants (versions 2 and 1); infinite if all."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip()
                for name in ("quota", "period")
            )
        except OSError:
            return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)


@cache
def _cpuinfo() -> dict[str, str]:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (li.partition(":") for li in lines)}


def flags() -> set[str]:
    """What the processor can do, as Linux says it; empty elsewhere."""
    about = _cpuinfo()
    return set((about.get("flags") or about.get("Features") or "").split())


def name() -> str:
    """Model of the processor and its widest instructions; those that libraries are kept to, too.

    ONEDNN_MAX_CPU_ISA keeps TensorFlow's kernels to a set of instructions, and --xla_cpu_max_isa in
    XLA_FLAGS what JAX compiles: so another kind of processor is measured on this one.
    """
    model = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    widest = next((name for flag, name in INSTRUCTIONS.items() if flag in flags()), "")
    onednn = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    xla = re.search(r"--xla_cpu_max_isa=(\w+)", os.environ.get("XLA_FLAGS", ""))
    kept = {"oneDNN": onednn, "XLA": xla[1] if xla else ""}
    by_set = {isa: [library for library in kept if kept[library] == isa] for isa in kept.values()}
    sets = [f"{' and '.join(by)} kept to {isa}" for isa, by in by_set.items() if isa]
    about = "; ".join(filter(None, [widest, *sets]))
    return f"{model} ({about})" if about else model
