"""What the commands share: a wrong input ends in one clear line, not in a traceback."""

import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial, wraps

import tyro

# Options of a dataclass are typed without its name.
CONFIG = (tyro.conf.OmitArgPrefixes,)
Command = Callable[..., int | None]


def run(
    main: Command | dict[str, Command] | None = None,
    find: Callable[[], dict[str, Command]] | None = None,
) -> None:
    """Run a command: options from the signature of `main`, help from its docstring.

    A dictionary is a command with subcommands, by name. `find` returns one instead of `main`; its
    errors end in one line, too.

    Exit status: what `main` returns (None is 0), 2 after a one-line error, 130 after Ctrl-C, 141
    where nobody reads the output any more.
    """

    def parse_and_call():
        command = _parsed(find() if find else main)
        _check_devices()
        return command()

    ending_in_a_line(parse_and_call)


def ending_in_a_line(call: Callable[[], int | None]) -> None:
    """Call a function and exit, with its status, or after one line that says what is wrong."""
    for stream in (sys.stdout, sys.stderr):
        _replace_what_cannot_be_printed(stream)
    shown, warnings.formatwarning = warnings.formatwarning, _one_line
    try:
        status = call()
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes yet
        status = 141
    except (OSError, ValueError, ArithmeticError, ImportError) as error:
        status = _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    finally:
        warnings.formatwarning = shown
    sys.exit(status)


def _check_devices() -> None:
    """JAX itself fails with an assertion, or late, where it is told to use what is not there."""
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        import jax

        try:
            jax.devices()
        except (RuntimeError, AssertionError):
            raise ValueError(
                f"JAX_PLATFORMS={platforms}, but JAX finds no such device: unset it, or install "
                "JAX for it"
            ) from None


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _one_line(message, category, filename, lineno, line=None) -> str:
    """A warning without the line of code that it comes from, which says nothing to a user."""
    return f"warning: {' '.join(str(message).split())}\n"


def _replace_what_cannot_be_printed(stream) -> None:
    """A terminal that is not UTF-8 gets question marks instead of Greek, not an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _parsed(main) -> Callable[[], int | None]:
    """The command with the options that were typed, ready to be called."""
    spec = sys.modules["__main__"].__spec__
    prog = f"python -m {spec.name}" if spec else None
    output = io.StringIO()
    try:
        with redirect_stderr(output):
            if isinstance(main, dict):
                commands = {name: _deferred(command) for name, command in main.items()}
                return tyro.extras.subcommand_cli_from_dict(commands, prog=prog, config=CONFIG)
            return tyro.cli(_deferred(main), prog=prog, config=CONFIG)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        raise ValueError(
            f"{_first_section(output.getvalue())} (--help lists the options)"
        ) from None


def _deferred(command):
    """A function of the same options that calls nothing yet: parsing and running are apart."""

    @wraps(command)
    def ready(*arguments, **options):
        return partial(command, *arguments, **options)

    return ready


def _first_section(box: str) -> str:
    """What is wrong, out of the box that tyro draws: below its title, above its next rule."""
    # Where the output is not UTF-8 a rule follows the title, and there is no frame.
    lines = [line.strip(" │╰╯") for line in box.splitlines()][1 if "╭" in box else 2 :]
    rule = next((i for i, line in enumerate(lines) if line and set(line) <= set("─-")), None)
    said = " ".join(lines[:rule])
    return re.sub(r"^Error parsing (?!-)\w+: ", "", said)  # a group of options, not one of them
