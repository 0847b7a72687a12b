"""Explore a cell in the browser: change it and see its stress, beside that of a network."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(
    file: tyro.conf.Positional[Path | None] = None, port: int = 0, browser: bool = True
) -> None:
    """Serve the explorer to the browsers of this machine, and open one. Ctrl-C ends it.

    Args:
        file: Data set (HDF5) or result of DAMASK (DADF5) to begin with. Default: a drawn cell.
        port: Port of 127.0.0.1 to listen at. Default: any that is free.
        browser: Open a browser.
    """
    print("starting; the first time it takes longer, until the solver is compiled", flush=True)
    try:
        from repro.explorer import page
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the explorer needs {error.name}: pip install '.[explore]', or use make explore"
        ) from None
    page.serve(file, port, browser)


if __name__ == "__main__":
    cli.run(main)
