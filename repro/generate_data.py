"""Generate a data set with the reference model."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from repro.data.discretization import DERIVATIVES
from repro.data.suites import SUITES
from repro.tools import cli


def main(
    suite: Literal[*SUITES] = "paper",
    out: Path | None = None,
    count: int | None = None,
    size: int | None = None,
    seed: int = 0,
    tol: float | None = None,
    workers: int | None = None,
    n: float | None = None,
    dot_gamma_0: float | None = None,
    M: float | None = None,
    h: float | None = None,
    derivative: Literal[*DERIVATIVES] | None = None,
    points_per_pixel: int | None = None,
    dask: str | None = None,
    shard: str | None = None,
    join: bool = False,
    per_shard: int | None = None,
) -> None:
    """Draw microstructures and solve them. A killed run goes on when started again.

    Args:
        suite: Family of microstructures; "paper" is the training and validation data.
        out: Data set to write (HDF5); never overwritten. Default: data/SUITE.h5.
        count: Number of microstructures. Default: those of the suite, 1000 for "paper".
        size: Pixels along an edge of the cell. Default: those of the suite, 64 for the paper's.
        seed: Another seed gives other microstructures.
        tol: Tolerance of the reference model (rms strain correction). Default: 1e-7; 1e-6, in
            single precision, with several points per pixel.
        workers: Simulations at a time. Default: one per core.
        n: Exponent of the flow rule, from 1 on. Default: that of the suite, the paper's 20.
        dot_gamma_0: Reference shear rate of the flow rule, 1/s. Default: that of the suite, 0.001.
        M: DAMASK's parameter M of the flow rule. Default: that of the suite, sqrt(3/2), which is
            the law in the paper's text; 1 in the generator that its authors published.
        h: DAMASK's factor of the hardening. Default: that of the suite, 1; 3 if DAMASK's input does
            not name it.
        derivative: How derivatives in space are taken. Default: that of the suite, "continuous",
            the paper's and DAMASK's default; "rotated" fields oscillate half as much.
        points_per_pixel: Points along an edge of each pixel; fields are their means over the
            pixels. Default: that of the suite, 1. With 4 and "rotated" the fields of the paper's
            cells have converged to 0.04 MPa.
        dask: Solve on the workers of Dask: "local" for one per core of this machine,
            tcp://host:port of a scheduler, or the JSON file that it wrote. All machines need the
            same environment, and the folder of the data set under the same path.
        shard: "k/n" solves the k-th of n parts and leaves them in OUT.shards/, k from 1 to n: for
            job arrays, such as those of Slurm.
        join: Write OUT from the parts, when all of them are solved.
        per_shard: Microstructures in each file of OUT.shards/, which is one task. Default: 25, or
            250 on a GPU.
    """
    from repro.reference import Request, generate

    path = out or Path("data", f"{suite}.h5")
    part = _part(shard)
    if part and join:
        raise ValueError("--shard and --join exclude each other")
    flow_rule = _with(SUITES[suite].flow_rule, n=n, dot_gamma_0=dot_gamma_0, M=M, h=h)
    discretization = _with(
        SUITES[suite].discretization, derivative=derivative, points_per_pixel=points_per_pixel
    )
    request = Request(suite, seed, size, tol, flow_rule, discretization)
    how = {"workers": workers, "dask": dask, "per_shard": per_shard, "part": part, "join": join}
    generate(path, request, count, **how)
    print(f"{path}.shards: part {shard} solved" if shard else f"{path} written")


def _with(value, **given):
    """That of the suite, but for what is given."""
    return replace(value, **{name: v for name, v in given.items() if v is not None})


def _part(shard: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)/(\d+)", shard or "")
    if shard and not found:
        raise ValueError(f"--shard takes k/n, such as 1/4, got {shard}")
    return found and (int(found[1]), int(found[2]))


if __name__ == "__main__":
    cli.run(main)
