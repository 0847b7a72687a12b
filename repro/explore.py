"""Explore a cell in the browser: change it and see its stress, beside that of a network."""

import re
from pathlib import Path

import tyro

from repro.tools import cli


def main(
    file: tyro.conf.Positional[Path | None] = None,
    port: int = 0,
    browser: bool = True,
    allow_origin: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> None:
    """Serve the explorer to the browsers of this machine, and open one. Ctrl-C ends it.

    Args:
        file: Data set (HDF5), result of DAMASK (DADF5) or grain map, such as an image, to begin
            with. Default: a drawn cell.
        port: Port of 127.0.0.1 to listen at. Default: any that is free.
        browser: Open a browser.
        allow_origin: HOST:PORT that browsers may reach the page under beside its own, such as
            localhost:9000 through ssh -L 9000:127.0.0.1:8000 with --port 8000; may be repeated.
    """
    for origin in allow_origin:
        if not re.fullmatch(r"[^\s/:*]+:\d+", origin):
            raise ValueError(f"--allow-origin takes HOST:PORT, such as localhost:9000: {origin}")
    print("starting; the first time it takes longer, until the solver is compiled", flush=True)
    try:
        from repro.explorer import page
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the explorer needs {error.name}: pip install '.[explore]', or use make explore"
        ) from None
    page.serve(file, port, browser, allow_origin)


if __name__ == "__main__":
    cli.run(main)
