"""Measure what single choices do, and write it into results."""

from collections.abc import Callable
from pathlib import Path

from repro.experiments.options import Scale
from repro.experiments.variants import STUDIES, Study
from repro.tools import cli

RUNS = Path("runs/studies")


def _command(name: str, study: Study) -> Callable[..., None]:
    """The command of a study."""

    def main(
        choices: tuple[str, ...] = (),
        scale: Scale = study.scale,
        out: Path = Path(f"results/{name}.csv"),
        runs: Path = RUNS,
        dask: str | None = None,
    ) -> None:
        from repro.experiments import studies
        from repro.report import tables

        rows = studies.run(study.variants, scale, out, runs, choices, dask=dask)
        print(tables.markdown(getattr(tables, study.table)(rows)))

    main.__doc__ = f"""{study.what}

    Takes {study.takes} with AVX-512. Start it again to go on.

    Args:
        choices: Which of them, by the names in the table, such as "batch size". Default: all.
        scale: How large.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask: "local" for one per core of this machine,
            tcp://host:port of a scheduler, or the JSON file that it wrote.
    """
    return main


if __name__ == "__main__":
    cli.run({name: _command(name, study) for name, study in STUDIES.items()})
