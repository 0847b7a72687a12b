"""Make a film of the loading of a cell: reference model, network and their difference."""

from pathlib import Path
from typing import Literal

from repro.tools import cli


def main(
    model: str = "paper_unet",
    data: Path | None = None,
    index: int = 0,
    mode: Literal["one-step", "rollout"] = "rollout",
    out: Path = Path("results/figures/loading.gif"),
    vti: Path | None = None,
) -> None:
    """Write the stress over the load as GIF, or as MP4 where ffmpeg is installed.

    Args:
        model: A .keras file, a run directory, or a name in `repro.surrogate.SURROGATES`.
        data: Data set (HDF5) or result of DAMASK (DADF5). Default: the first cell of the paper's
            data that no network was trained on, solved at once.
        index: Number of the cell in the data set.
        mode: Each step from the true stress, or the whole load on the network's own output.
        out: File to write, .gif or .mp4.
        vti: Folder to write the same fields to for ParaView as well, one file per increment.
    """
    from repro import surrogate
    from repro.damask import exchange
    from repro.report import figures, gallery, paraview, pictures

    pictures.check_film(out)
    one = surrogate.load(model)
    cells = exchange.read(data) if data else gallery.solve_example("paper", one.against)
    if not 0 <= index < len(cells):
        raise ValueError(f"no cell {index}: the data set has 0 to {len(cells) - 1}")
    shown = gallery.predict_example(one, cells, index, mode)
    film = figures.loading_film(shown.F11, shown.sigma_rm, shown.sigma_network)
    pictures.save_film(out, film)
    print(f"{out} written")
    if vti:
        print(f"{len(paraview.write(vti, shown))} increments written to {vti}")


if __name__ == "__main__":
    cli.run(main)
