"""Train the advanced residual U-Net."""

from repro.experiments.chain import RunOptions, train_and_evaluate
from repro.models.res_unet import FILTERS
from repro.tools import cli
from repro.training.recipes import RECIPES
from repro.training.trainer import TrainingConfig


def main(
    options: RunOptions = RunOptions(),
    config: TrainingConfig = RECIPES["res_unet"],
    filters: int = FILTERS,
    circular: bool = True,
    increment: bool = True,
    stiffness: bool = True,
) -> None:
    """Train the residual U-Net: AdamW, warm-up then cosine, and what is exact about the problem.

    Every ingredient can be switched off, for its row in the ablation table.

    Args:
        options: What to train on, how long, and where to put it.
        config: How to train.
        filters: Channels at the finest level.
        circular: Circular instead of zero padding.
        increment: Predict the stress increment instead of the stress.
        stiffness: E/(1 + nu) as a further input channel.
    """
    train_and_evaluate(
        "res_unet", config, options,
        filters=filters, circular=circular, increment=increment, stiffness=stiffness,
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
