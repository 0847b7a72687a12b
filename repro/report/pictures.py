"""Figures as PNG files, some as SVG beside them: written whole, compared by what they show.

A picture is up to date if it looks like the one that would be drawn now: neither the code nor the
numbers that it is drawn from say whether anything can be seen to have changed. Versions of
matplotlib shape letters differently and move axes by a few pixels, which is as much as a curve that
changes by 10 %. Pictures of one version are therefore compared closely, those of two versions
coarsely, which finds changed fields and areas but not thin curves.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import image
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from repro.report import figures
from repro.tools.files import atomic_path
from repro.tools.progress import Progress

FILMS = {".gif": PillowWriter, ".mp4": FFMpegWriter}  # by the suffix of the file
# Pixels along the edge of a block, and by how much the mean colours (0 to 1) of one may differ.
# Between matplotlib 3.9.4 and 3.11.2 the pictures of this project differ by up to 0.6 in blocks of
# 8 pixels and by up to 0.095 in blocks of 32.
CLOSELY, COARSELY = (8, 0.03), (32, 0.15)


def png(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    buffer = io.BytesIO()
    with figures.own_style():
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """A figure as the content of an SVG file, the same whenever it is drawn."""
    buffer = io.BytesIO()
    with figures.own_style(), mpl.rc_context({"svg.hashsalt": "repro"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save_figure(path, figure: Figure) -> None:
    """Write a figure as PNG, whole or not at all; folders are made."""
    write_picture(path, png(figure))


def save_if_possible(path, draw: Callable[[], Figure]) -> None:
    """Draw a picture that stands beside results, and write it; say in one line what came of it.

    Whatever goes wrong is said and not raised: the results took hours, and need no picture.
    """
    try:
        save_figure(path, draw())
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        print(f"{path} could not be drawn ({type(error).__name__}: {reason})")
    else:
        print(f"{path} drawn")


def write_picture(path, content: bytes) -> None:
    """Write the content of a picture, whole or not at all; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def check_film(path) -> None:
    """Raise ValueError if a film cannot be written in the format that the name of `path` asks for.

    GIF always can, MP4 where ffmpeg is installed.
    """
    if Path(path).suffix not in FILMS:
        raise ValueError(f"{path}: a film is a {' or '.join(FILMS)} file")
    if not FILMS[Path(path).suffix].isAvailable():
        raise ValueError(f"{path}: ffmpeg is not on the PATH: install it, or write a .gif")


def save_film(path, film: FuncAnimation) -> None:
    """Write a film, whole or not at all; folders are made. Errors as `check_film`."""
    path = Path(path)
    check_film(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = FILMS[path.suffix](fps=figures.FRAMES_PER_SECOND)
    bar = Progress(what="drawing", unit="picture")
    with atomic_path(path) as temporary, bar, figures.own_style():
        film.save(temporary, writer, progress_callback=lambda *_: bar.update())


def looks_like(path, content: bytes) -> bool:
    """Whether the picture at `path` is there and shows what `content` shows."""
    path = Path(path)
    if not path.is_file():
        return False
    there = path.read_bytes()
    edge, tolerance = CLOSELY if _version(there) == _version(content) else COARSELY
    old, new = (image.imread(io.BytesIO(picture))[..., :3] for picture in (there, content))
    if old.shape != new.shape:
        return False
    return float(np.abs(_blocks(old, edge) - _blocks(new, edge)).max()) < tolerance


def _version(content: bytes) -> bytes | None:
    """The version of matplotlib that drew a PNG, as it writes it near the start of the file."""
    found = re.search(rb"Software\0Matplotlib version([^,]+),", content[:1000])
    return found and found[1]


def _blocks(pixels: np.ndarray, edge: int) -> np.ndarray:
    """Mean colours of the blocks of a picture (height, width, channels)."""
    height, width = (n // edge for n in pixels.shape[:2])
    whole = pixels[: height * edge, : width * edge]
    return whole.reshape(height, edge, width, edge, -1).mean((1, 3))
