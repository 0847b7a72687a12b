"""Train the network that refines a coarse solve (`repro.surrogate`)."""

from dataclasses import replace
from pathlib import Path

from repro.data import dataset
from repro.evaluation.campaign import load_suite
from repro.evaluation.metrics import mae
from repro.models.backend import keras
from repro.surrogate import refiner
from repro.tools import cli
from repro.training import trainer
from repro.training.trainer import TrainingConfig

RECIPE = TrainingConfig(batch_size=8, learning_rate=3e-3, cosine=True)


def main(
    out: Path = Path("runs/refiner"),
    data: Path = Path("data"),
    epochs: int = 40,
    training: TrainingConfig = RECIPE,
    time_limit: float | None = None,
) -> None:
    """Solve the paper's microstructures coarsely and train a network on what that gets wrong.

    Takes about ten minutes on two cores. Start it again to go on with a run.

    Args:
        out: Directory of the run.
        data: Folder of the data sets. Generated first if there is none.
        epochs: Passes over the training pairs.
        training: How to train.
        time_limit: Minutes; stop cleanly before an epoch that would end later.
    """
    training = replace(training, epochs=epochs)
    cells = load_suite("paper", data)
    split = dataset.split(cells)
    pairs = [refiner.make_refinements(cells, part) for part in (split.training, split.validation)]
    keras.utils.set_random_seed(training.seed)
    network = refiner.increment_refiner()
    identity = {"network": network.name, "split_hash": split.hash}
    state = trainer.train(network, *pairs, training, out, identity, time_limit)
    if not trainer.finished(state, training):
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")
        return
    coarse = pairs[1].coarse[:, 1:]
    ends = cells.sigma_vm[split.validation, refiner.COARSENING :: refiner.COARSENING]
    print(f"coarse solve alone, at its increments: {mae(coarse, ends):.3f} MPa")
    print(f"refined, at all increments: {state.best:.3f} MPa")


if __name__ == "__main__":
    cli.run(main)
