"""Files that a kill at any moment leaves whole: temporary name, fsync, rename."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path` that replaces it on success and vanishes on failure."""
    path = Path(path)
    # The suffix stays the same, since some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _fsync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path, text: str) -> None:
    r"""Write a text whole or not at all: UTF-8 and "\n" whatever the locale; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path, table, digits: int | None = None) -> None:
    """Write a DataFrame without its index; `digits` are significant ones, by default all."""
    float_format = None if digits is None else f"%.{digits}g"
    write_text(path, table.to_csv(index=False, float_format=float_format, lineterminator="\n"))
