"""Files that a kill at any moment leaves whole, and text whose encoding does not depend on where.

A file is written under a temporary name, synchronized with the disk and renamed.
"""

import os
import platform
import shutil
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_WRITERS = count()


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path` that replaces it on success and vanishes on failure.

    Of a symbolic link the file behind it is replaced, in the folder of that file.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    # The suffix stays the same, since some writers choose the format by it.
    # Processes of other machines, on a disk that they share, have other names. So have two writers
    # of this process: else one would rename the file that the other is still writing.
    writer = f"{platform.node()}.{os.getpid()}.{next(_WRITERS)}"
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        yield temporary
        _synchronize(temporary)
        temporary.replace(path)
        _synchronize(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _synchronize(path):
    # Shared folders and Windows refuse this for a directory, some file systems for a file: then
    # the file is as safe as they make it.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def second_name(path, other) -> None:
    """Give a file a second name, replacing what has it: at any moment each name is a whole file."""
    other = Path(other)
    with atomic_path(other) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # FAT, SMB and many cloud drives have no hard links
            shutil.copyfile(path, temporary)


def write_text(path, text: str) -> None:
    r"""Write a text whole or not at all: UTF-8 and "\n" whatever the locale; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_text(path) -> str:
    """Content of a text file in UTF-8.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
