"""Files of users that register something of their own: network, surrogate, suite or metric."""

import runpy
from collections.abc import Iterable
from pathlib import Path

USED: list[str] = []


def use(path) -> None:
    """Run a file of a user, so that all commands know what it registers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no Python.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        compile(path.read_bytes(), path.name, "exec")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is no Python: {error}") from None
    runpy.run_path(str(path))
    USED.append(str(path))


def use_all(paths: Iterable[str]) -> None:
    """Run in another process what this one uses."""
    for path in paths:
        use(path)
