"""Train the network that refines a coarse solve (`repro.surrogate`)."""

from dataclasses import replace
from pathlib import Path

from repro.evaluation.campaign import load_suite
from repro.experiments import surrogates
from repro.tools import cli
from repro.training import trainer
from repro.training.recipes import TrainingConfig


def main(
    out: Path = Path("runs/refiner"),
    data: Path = Path("data"),
    epochs: int = 100,
    training: TrainingConfig = surrogates.REFINER.recipe,
    time_limit: float | None = None,
) -> None:
    """Solve the paper's microstructures coarsely and train a network on what that gets wrong.

    Takes about five minutes on two cores. Start it again to go on with a run.

    Args:
        out: Directory of the run.
        data: Folder of the data sets. Generated first if there is none.
        epochs: Passes over the training pairs.
        training: How to train.
        time_limit: Minutes; stop cleanly before an epoch that would end later.
    """
    config = replace(training, epochs=epochs)
    data_set = load_suite("paper", data)
    state = surrogates.train(surrogates.REFINER, data_set, config, out, time_limit=time_limit)
    if trainer.finished(state, config):
        print(f"validation MAE over the whole load: {state.best:.3f} MPa; results in {out}")
    else:
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")


if __name__ == "__main__":
    cli.run(main)
