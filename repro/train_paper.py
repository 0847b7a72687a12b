"""Train the paper's network; with no option, the paper's run."""

from typing import Literal

from repro import cli
from repro.experiment import RunOptions, train_and_evaluate
from repro.recipes import RECIPES
from repro.training import TrainingConfig


def main(
    options: RunOptions = RunOptions(),
    config: TrainingConfig = RECIPES["paper_unet"],
    separable: bool = True,
    bias: bool = False,
    relu_first: bool = False,
    normalization: Literal["table 3", "min-max", "per-channel"] = "table 3",
) -> None:
    """Train the paper's U-Net and evaluate it. Start the same command again to go on with a run.

    With no option it is the paper's run: 1000 microstructures, 500 epochs, no early stopping, Adam
    with learning rate 1e-3, MAE, batches of 8.

    Args:
        options: What to train on, how long, and where to put it.
        config: How to train.
        separable: Separable 9x9 convolutions, as the paper, or standard ones.
        bias: Whether the convolutions have a bias (the paper does not say).
        relu_first: ReLU before batch normalization instead of after it (the paper does not say).
        normalization: What the channels are normalized by (the paper: "normalized to 1").
    """
    chosen = {"separable": (separable, True), "bias": (bias, False),
              "relu_first": (relu_first, False)}  # fmt: skip
    # Only what departs from the defaults is part of what a run is known by.
    variant = {name: value for name, (value, default) in chosen.items() if value != default}
    train_and_evaluate("paper_unet", config, options, normalization, **variant)


if __name__ == "__main__":
    cli.run(main)
