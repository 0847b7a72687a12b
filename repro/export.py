"""Export a trained network to ONNX, SavedModel or LiteRT, and check what was exported."""

from pathlib import Path
from typing import Literal

import tyro

from repro.models.export import FORMATS
from repro.tools import cli


def main(
    model: tyro.conf.Positional[str],
    format: Literal[*FORMATS] = "onnx",
    out: Path | None = None,
) -> int:
    """Export a network for programs without Keras, and say how far its output is from Keras'.

    It takes and gives what the network does, in physical units. Those that step the stress map
    (n, N, N, 5) float32 of E/GPa, nu, xi0/MPa, h0/GPa and sigma_vM(t)/MPa to (n, N, N, 1), the
    stress a step later. Exit status 1 if the stress is another one.

    Args:
        model: A .keras file, a run directory, or the name of a shipped network.
        format: ONNX needs the extra .[export]; SavedModel and LiteRT need TensorFlow.
        out: File to write (.onnx, .tflite) or, of a SavedModel, folder. Default: exported/NAME.
    """
    from repro.experiments import exporting

    path, comparisons = exporting.export(model, format, out)
    print(f"{path} written. It differs by at most")
    for beside, cells, pixels, difference in comparisons:
        print(f"- {difference:.2g} MPa from {beside}, {cells} cells of {pixels} x {pixels} pixels")
    if all(one.difference <= exporting.SAME for one in comparisons):
        return 0
    print(f"That is more than {exporting.SAME} MPa: do not use it.")
    return 1


if __name__ == "__main__":
    cli.run(main)
