"""Generate the tables from the results."""

from pathlib import Path

from repro import cli
from repro.evaluation.results import read_rows
from repro.report.tables import write_report


def main(results: Path = Path("results/results.csv")) -> None:
    """Write RESULTS.md beside a results table.

    Args:
        results: Table (CSV) written by python -m repro.evaluate.
    """
    page = results.with_name("RESULTS.md")
    write_report(read_rows(results), page, "Results")
    print(f"{page} written")


if __name__ == "__main__":
    cli.run(main)
