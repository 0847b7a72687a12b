"""Write microstructures of a data set as input of DAMASK, and run it."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(
    data: tyro.conf.Positional[Path],
    out: Path,
    indices: tuple[int, ...] = (),
    tolerance: float | None = None,
    run: bool = False,
    workers: int | None = None,
) -> int:
    """Write a folder for each cell, with the grid, material and load that DAMASK needs.

    With --run, simulate them too; start the same command again to continue. Exit status 1 if a
    simulation failed. Bring the results back with python -m repro.damask_import.

    Args:
        data: Data set (HDF5).
        out: Folder to write to.
        indices: Microstructures of the data set. Default: all.
        tolerance: Relative tolerance eps_rel_div(P). Default: DAMASK's own, 5e-4.
        run: Run DAMASK_grid, which must be on the PATH.
        workers: Simulations at a time. Default: one per core.
    """
    from repro.damask import exchange
    from repro.damask.run import run as run_damask
    from repro.data import dataset

    directories = exchange.export_damask(dataset.read(data), out, indices, tolerance)
    print(f"{len(directories)} simulations written to {out}")
    failures = run_damask(directories, workers) if run else {}
    for directory, reason in failures.items():
        print(f"FAILED {directory}: {reason}")
    return 1 if failures else 0


if __name__ == "__main__":
    cli.run(main)
