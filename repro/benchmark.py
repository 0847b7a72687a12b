"""Measure what the project claims: speed."""

from pathlib import Path
from typing import Literal

from repro import cli, generation, training_speed
from repro import models as networks_room
from repro.backend import ON_TENSORFLOW_CPU
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


def training(
    networks: tuple[Literal[*networks_room.NETWORKS], ...] = ("paper_unet",),
    batches: int = 30,
    repeats: int = 3,
    out: Path = Path("results/benchmark_training.csv"),
) -> None:
    """Samples a second of the trainer and of plain `keras.Model.fit`, and where a step goes.

    Args:
        networks: Which networks.
        batches: Steps in one measurement.
        repeats: Measurements of each, in turn; the fastest counts.
        out: Table (CSV) to write.
    """
    cells = generation.Job("paper").solve(range(20))
    table = training_speed.measure(cells, networks, batches, repeats)
    training_speed.write(out, table)
    print(tables.markdown(table))
    if ON_TENSORFLOW_CPU:
        profile = training_speed.depthwise_profile()
        training_speed.write(out.with_name("depthwise_profile.csv"), profile)
        print("\nms of a training step of paper_unet in depthwise convolutions:\n")
        print(tables.markdown(profile))


if __name__ == "__main__":
    cli.run({"speed": speed, "training": training})
