"""Train the networks for whole loads that `repro.surrogate` predicts with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from repro.tools import cli
from repro.training.recipes import REFINER, WHOLE_PATH, TrainingConfig


@dataclass(frozen=True)
class RunOptions:
    """Options that both share.

    Parameters
    ----------
    variant : str, optional
        How it is built, by its name in `python -m repro.study`. Default: the first.
    further : int
        Microstructures to train on beside the paper's 800; 8000 of them take 7 GB of memory, of the
        refiner more.
    start : Path, optional
        A trained network of the same variant to start from: a file, or the directory of a run.
    data : Path
        Folder of the data sets, which are generated if they are not there.
    out : Path, optional
        Directory of the run. Default: runs/refiner or runs/whole_path.
    time_limit : float, optional
        Minutes, after the cells are solved; stop cleanly before an epoch that would end later.
    """

    variant: str | None = None
    further: int = 0
    start: Path | None = None
    data: Path = Path("data")
    out: Path | None = None
    time_limit: float | None = None


def _command(
    name: str, title: str, recipe: TrainingConfig, epochs: int, run: RunOptions
) -> Callable[..., None]:
    def main(
        epochs: int = epochs, run: RunOptions = run, training: TrainingConfig = recipe
    ) -> None:
        from repro.evaluation.campaign import load_suite
        from repro.experiments import surrogates
        from repro.training import trainer

        kind = surrogates.KINDS[name]
        config, out = replace(training, epochs=epochs), run.out or Path("runs", name)
        state = surrogates.train(
            kind,
            load_suite("paper", run.data),
            config,
            out,
            kind.variant(run.variant),
            run.further,
            run.start,
            run.time_limit,
        )
        if trainer.finished(state, config):
            print(f"validation MAE over all increments: {state.best:.3f} MPa; results in {out}")
        else:
            print(f"stopped after epoch {state.epoch}: the same command goes on from there")

    main.__doc__ = f"""Train {title}. Start it again to go on with a run.

    Args:
        epochs: Passes over the training pairs.
        run: What to train, on what, how long, and where to put it.
        training: How to train.
    """
    return main


if __name__ == "__main__":
    commands = {
        "refiner": _command(
            "refiner", "the network that refines a coarse solve", REFINER, 100, RunOptions()
        ),
        "whole_path": _command(
            "whole_path",
            "a network that gives the whole path in one pass",
            WHOLE_PATH,
            75,
            RunOptions(further=8_000),
        ),
    }
    cli.run(commands)
