"""Execute the notebooks and keep their outputs."""

import nbformat

from repro import cli
from repro.files import atomic_path
from repro.report.execution import execute, notebooks


def main() -> None:
    """Execute every notebook in notebooks/ from its beginning, in place."""
    for path in notebooks():
        executed = execute(path)
        with atomic_path(path) as temporary:
            nbformat.write(executed, temporary)
        print(f"notebooks/{path.name} written")


if __name__ == "__main__":
    cli.run(main)
