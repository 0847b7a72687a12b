"""Train the paper's network; with no option, the paper's run."""

from typing import Literal

from repro import paper
from repro.experiments.chain import RunOptions, train_and_evaluate
from repro.models.normalization import NORMALIZATIONS
from repro.tools import cli
from repro.training.recipes import RECIPES
from repro.training.trainer import TrainingConfig


def main(
    options: RunOptions = RunOptions(),
    config: TrainingConfig = RECIPES["paper_unet"],
    skips: Literal["pooled", "convolved"] = "pooled",
    convolutions: int = 1,
    levels: int = paper.LEVELS,
    filters: int = paper.FILTERS,
    separable: bool = True,
    circular: bool = False,
    bias: bool = True,
    glorot_bias: bool = False,
    relu_first: bool = False,
    sigmoid: bool = False,
    normalization: Literal[*NORMALIZATIONS] = "table 3",
) -> None:
    """Train the paper's U-Net and evaluate it. Start the same command again to go on with a run.

    With no option it is the paper's run: 1000 microstructures, 500 epochs, no early stopping, Adam
    with learning rate 1e-3, MAE. What the paper does not state is an option.

    Args:
        options: What to train on, how long, and where to put it.
        config: How to train.
        skips: Skip connections start after the pooling, the oldest at the input, or after the
            convolutions, as in the classic U-Net.
        convolutions: Convolutions per level.
        levels: Number of poolings.
        filters: Channels at the finest level; they double with every level.
        separable: Separable 9x9 convolutions, as the paper, or standard ones.
        circular: Circular instead of zero padding.
        bias: Whether the convolutions have a bias.
        glorot_bias: Whether biases start at a Glorot draw, as the paper says, instead of at zero.
        relu_first: ReLU before batch normalization instead of after it.
        sigmoid: Whether the network ends in a sigmoid.
        normalization: What the channels are normalized by (the paper: "normalized to 1").
    """
    train_and_evaluate(
        "paper_unet", config, options, normalization,
        skips=skips, convolutions=convolutions, levels=levels, filters=filters,
        separable=separable, circular=circular, bias=bias, glorot_bias=glorot_bias,
        relu_first=relu_first, sigmoid=sigmoid,
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
