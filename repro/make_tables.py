"""Generate the page of results, its tables, figures and cards."""

from pathlib import Path

from repro.tools import cli


def main(directory: Path = Path("results"), check: bool = False) -> int:
    """Bring RESULTS.md, tables/, figures/ and the cards up to date with the result tables.

    Args:
        directory: Where results.csv is, written by python -m repro.evaluate.
        check: Write nothing; name what is not up to date, and exit 1 if anything is.
    """
    from repro.report.page import build

    stale = build(directory, check)
    for path in stale:
        print(f"{path} {'is not up to date' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    cli.run(main)
