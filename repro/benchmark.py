"""Measure what the project claims: speed."""

from pathlib import Path

from repro import cli
from repro.evaluation import speed as measurement
from repro.report import tables


def speed(
    models: tuple[str, ...] = (),
    microstructures: int = 8,
    repeats: int = 3,
    out: Path = Path("results/speed.csv"),
) -> None:
    """Seconds a simulation, on one core and on all: DAMASK, the reference model, the networks.

    Args:
        models: .keras files, run directories or names of shipped models. Default: all shipped.
        microstructures: How many are simulated.
        repeats: How often; the fastest counts.
        out: Table (CSV) to write.
    """
    table = measurement.measure(models or measurement.shipped(), microstructures, repeats)
    measurement.write(out, table)
    print(tables.markdown(tables.speed(table)))


if __name__ == "__main__":
    cli.run({"speed": speed})
