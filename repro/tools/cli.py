"""What the commands share: a wrong input ends in one clear line, not in a traceback."""

import sys
from collections.abc import Callable

import tyro

# Options of a dataclass are typed without its name.
CONFIG = (tyro.conf.OmitArgPrefixes,)


def run(main: Callable[..., int | None] | dict[str, Callable[..., int | None]]) -> None:
    """Run a command: options from the signature of `main`, help from its docstring.

    A dictionary is a command with subcommands, by name.

    Exit status: what `main` returns (None is 0), 2 after a one-line error, 130 after Ctrl-C.
    """
    try:
        spec = sys.modules["__main__"].__spec__
        prog = f"python -m {spec.name}" if spec else None
        if isinstance(main, dict):
            status = tyro.extras.subcommand_cli_from_dict(main, prog=prog, config=CONFIG)
        else:
            status = tyro.cli(main, prog=prog, config=CONFIG)
    except (OSError, ValueError, ArithmeticError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
