"""What each departure of a DAMASK set-up from the paper does to the stress, by our own solver."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(
    data: tyro.conf.Positional[Path],
    count: int | None = None,
    results: Path = Path("results/deviations.csv"),
) -> None:
    """Solve microstructures under the settings of an earlier replication and under the paper's.

    Args:
        data: Data set (HDF5); only its microstructures are used.
        count: Number of microstructures. Default: all.
        results: Table (CSV) that the rows are written to.
    """
    import pandas as pd

    from repro.damask import deviations
    from repro.data import dataset
    from repro.tools.csv_files import update_csv

    source = dataset.read(data)
    cells = [source.microstructure(i) for i in range(len(source))[:count]]
    rows = deviations.effects(cells, data=data.name)
    update_csv(results, pd.DataFrame(rows), ["data"])
    for row in rows:
        print(
            f"{row['setting']}: {row['mean_difference_MPa']} MPa, "
            f"{row['at_last_increment_MPa']} MPa at the end"
        )


if __name__ == "__main__":
    cli.run(main)
