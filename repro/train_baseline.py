"""Train the 3x3 baseline."""

from repro.experiments.chain import RunOptions, train_and_evaluate
from repro.tools import cli
from repro.training.recipes import RECIPES
from repro.training.trainer import TrainingConfig


def main(
    options: RunOptions = RunOptions(),
    config: TrainingConfig = RECIPES["baseline_unet"],
) -> None:
    """Train the plain 3x3 U-Net: Adam with learning rate 1e-4, MAE, early stopping.

    Args:
        options: What to train on, how long, and where to put it.
        config: How to train.
    """
    train_and_evaluate("baseline_unet", config, options)


if __name__ == "__main__":
    cli.run(main)
