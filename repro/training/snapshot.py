"""The state of a training run in one file, whole at any moment."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.tools.files import atomic_path, second_name

NAME, PREVIOUS = "snapshot.npz", "snapshot.previous.npz"
_GROUPS = ("weights", "optimizer", "best_weights")


class SnapshotError(ValueError):
    """A snapshot belongs to another run; the message says what differs and what to do."""


@dataclass(frozen=True)
class TrainingState:
    """Everything a run needs to go on; the order of samples follows from the epoch."""

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    best_weights: list[np.ndarray]
    history: list[dict]  # one row per epoch
    interrupted: bool = False  # by a signal, in this process

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best(self) -> float:
        """Lowest validation MAE so far, MPa."""
        return min((row["mae_validation"] for row in self.history), default=np.inf)

    @property
    def epochs_without_gain(self) -> int:
        """Epochs since the best one."""
        errors = [row["mae_validation"] for row in self.history]
        return len(errors) - 1 - int(np.argmin(errors)) if errors else 0


def save(directory, state: TrainingState, identity: dict) -> None:
    """Write the snapshot of a run; the one before it is kept under a second name."""
    path = Path(directory, NAME)
    arrays = {
        f"{group}_{i}": array for group in _GROUPS for i, array in enumerate(getattr(state, group))
    }
    meta = json.dumps({"identity": identity, "history": state.history, "arrays": len(arrays)})
    with atomic_path(path) as temporary:
        np.savez(temporary, meta=np.array(meta), **arrays)
        if path.exists():
            second_name(path, path.with_name(PREVIOUS))


def load(directory, identity: dict) -> TrainingState | None:
    """The last whole snapshot of a run; None if there is none.

    Raises
    ------
    SnapshotError
        If it is of another network, data set or configuration, or if all snapshots are damaged.
    """
    paths = [path for name in (NAME, PREVIOUS) if (path := Path(directory, name)).exists()]
    for path in paths:
        try:
            found, state = _read(path)
        except Exception as error:  # a damaged archive raises whatever it comes upon
            print(f"{path} is damaged ({error}): trying the one before it")
            continue
        _check_identity(path.parent, found, identity)
        return state
    if paths:
        raise SnapshotError(f"{directory}: every snapshot is damaged: remove it to start anew")
    return None


def _read(path) -> tuple[dict, TrainingState]:
    """Identity and state in a whole snapshot; any exception if it is not whole."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    groups = [
        [arrays[f"{group}_{i}"] for i in range(len(arrays)) if f"{group}_{i}" in arrays]
        for group in _GROUPS
    ]
    if not meta.get("arrays", len(arrays)) == len(arrays) == sum(map(len, groups)):
        raise ValueError("an array is missing")
    state = TrainingState(*groups, meta["history"])
    errors = np.array([row["mae_validation"] for row in state.history], float)
    if not (len(errors) and np.isfinite(errors).all()):
        raise ValueError("its history holds no errors")
    return dict(meta["identity"]), state


def _check_identity(directory, found: dict, wanted: dict) -> None:
    for key in wanted:
        # What a run of an older version did not know of, it had switched off.
        if (found.get(key) or 0) != (wanted[key] or 0):
            raise SnapshotError(
                f"{directory} holds a run with {key} = {found.get(key)}, not {wanted[key]}: "
                "choose another --out or remove it"
            )
