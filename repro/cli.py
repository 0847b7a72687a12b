"""What the commands share: a wrong input ends in one clear line, not in a traceback."""

import sys
from collections.abc import Callable

import tyro

from repro.reference import ConvergenceError


def run(main: Callable[..., int | None]) -> None:
    """Run a command: options from the signature of `main`, help from its docstring.

    Exit status: what `main` returns (None is 0), or 2 after a one-line error.
    """
    try:
        status = tyro.cli(
            main,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            prog=f"python -m {sys.modules['__main__'].__spec__.name}",
        )
    except (OSError, ValueError, FloatingPointError, ConvergenceError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    sys.exit(status)
