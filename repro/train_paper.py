"""Train the paper's network; with no option, the paper's run."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from repro import cli, paper
from repro.experiment import load_or_generate, train_and_evaluate
from repro.training import TrainingConfig

# Demonstration size: minutes on two cores; shows that everything works, not what accuracy it gives.
QUICK = {"microstructures": 60, "epochs": 25, "stride": 5}
FULL = {"microstructures": paper.MICROSTRUCTURES, "epochs": paper.EPOCHS, "stride": 1}


def main(
    preset: Literal["paper", "quick"] = "paper",
    data: Path | None = None,
    out: Path | None = None,
    epochs: int | None = None,
    batch_size: int = paper.BATCH_SIZE,
    learning_rate: float = paper.LEARNING_RATE,
    seed: int = 0,
    stride: int | None = None,
    time_limit: Annotated[float | None, tyro.conf.arg(metavar="MINUTES")] = None,
    tensorboard: bool = False,
) -> None:
    """Train the paper's U-Net and evaluate it. Start the same command again to go on with a run.

    Args:
        preset: "paper" is the paper's run: 1000 microstructures, 500 epochs; "quick" takes minutes.
        data: Data set (HDF5); generated if the file is missing. Default: data/PRESET.h5.
        out: Directory of the run. Default: runs/paper_unet, or runs/quick.
        epochs: Passes over the training pairs. Default: the preset's, 500 or 25.
        batch_size: Pairs a step.
        learning_rate: Of Adam.
        seed: Of the initial weights.
        stride: Increments from input to output (the paper leaves it open). Default: 1, quick 5.
        time_limit: Stop cleanly before an epoch that would end later than this.
        tensorboard: Log to OUT/tensorboard too.
    """
    default = QUICK if preset == "quick" else FULL
    train_and_evaluate(
        "paper_unet",
        load_or_generate(data or Path("data", f"{preset}.h5"), default["microstructures"]),
        out or Path("runs", "quick" if preset == "quick" else "paper_unet"),
        TrainingConfig(
            default["epochs"] if epochs is None else epochs, batch_size, learning_rate, seed
        ),
        default["stride"] if stride is None else stride,
        time_limit,
        tensorboard,
    )


if __name__ == "__main__":
    cli.run(main)
