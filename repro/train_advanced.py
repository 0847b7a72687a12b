"""Train the advanced residual U-Net."""

from repro import cli
from repro.experiment import RunOptions, train_and_evaluate
from repro.models.res_unet import FILTERS
from repro.training import TrainingConfig

ADVANCED = TrainingConfig(
    learning_rate=1e-3,
    weight_decay=1e-4,
    clip_norm=1.0,
    warmup_epochs=5,
    cosine=True,
    patience=50,
    ema=0.999,
    augment=True,
    own_output=0.25,
)


def main(
    options: RunOptions = RunOptions(),
    config: TrainingConfig = ADVANCED,
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
