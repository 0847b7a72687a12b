"""The one way in which a command says what it does, how far it is, and how long yet."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

# The time left is by the mean rate so far: it holds whatever happens between the steps.
BAR = {"delay": 2.0, "mininterval": 1.0, "smoothing": 0}
LINES = {
    "delay": 30.0,
    "mininterval": 30.0,
    "maxinterval": 30.0,
    "smoothing": 0,
    "bar_format": "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed}, {remaining} left{postfix}",
}


class Progress(tqdm):
    """A bar on a terminal; elsewhere, as in a log file, a line every half minute.

    Parameters
    ----------
    steps : iterable, optional
        What to go through; or None, and `update` is called.
    what : str
        What is done.
    unit : str
        What is counted, in the singular.
    shown : bool
        False shows nothing at all.
    **options
        Of tqdm: `total`; `initial`, where a run goes on.
    """

    def __init__(
        self,
        steps: Iterable | None = None,
        what: str = "",
        unit: str = "step",
        shown: bool = True,
        **options: Any,
    ):
        self.lines = not sys.stderr.isatty()
        pace = LINES if self.lines else BAR
        super().__init__(
            steps, desc=what, unit=unit, disable=not shown, file=sys.stderr, **pace, **options
        )

    def close(self) -> None:
        """Leave the bar on the terminal; a log has its lines already."""
        if self.lines:
            self.delay = np.inf  # as if nothing had been shown
        super().close()

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """How tqdm writes its line to a file; without a terminal each is one of its own."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda text: print(text.strip(), file=file, flush=True) if text.strip() else None
