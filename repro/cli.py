"""What the commands share: a wrong input ends in one clear line, not in a traceback."""

import sys
from collections.abc import Callable

import tyro

from repro.reference import ConvergenceError


def run(main: Callable[..., int | None] | dict[str, Callable[..., int | None]]) -> None:
    """Run a command: options from the signature of `main`, help from its docstring.

    A dictionary of functions is a command with subcommands.

    Exit status: what `main` returns (None is 0), or 2 after a one-line error.
    """
    try:
        prog = f"python -m {sys.modules['__main__'].__spec__.name}"
        if isinstance(main, dict):
            status = tyro.extras.subcommand_cli_from_dict(main, prog=prog)
        else:
            status = tyro.cli(main, prog=prog)
    except (OSError, ValueError, FloatingPointError, ConvergenceError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    sys.exit(status)
