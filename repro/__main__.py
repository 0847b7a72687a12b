"""List the commands, or run one that knows what a file of yours registers.

`python -m repro` lists them. `python -m repro --use FILE.py COMMAND ...` runs the file first.
"""

import ast
import runpy
import sys
from pathlib import Path
from pkgutil import iter_modules

from repro.tools import cli, extensions
from repro.tools.files import read_text

PACKAGE = Path(__file__).parent
NO_COMMANDS = {"__main__", "paper"}


def commands() -> dict[str, str]:
    """What each `python -m repro.NAME` does: the first line of its docstring."""
    found = {}
    for module in iter_modules([str(PACKAGE)]):
        path = PACKAGE / (f"{module.name}/__main__.py" if module.ispkg else f"{module.name}.py")
        if module.name not in NO_COMMANDS and path.is_file():
            found[module.name] = ast.get_docstring(ast.parse(read_text(path))).splitlines()[0]
    return found


def main(arguments: list[str]) -> None:
    """Print a line per command, or run the one that is named."""
    files = []
    while arguments[:1] == ["--use"] and len(arguments) > 1:
        files.append(arguments[1])
        arguments = arguments[2:]
    if not arguments or arguments[0].startswith("-"):
        for name, text in commands().items():
            print(f"python -m repro.{name:18} {text}")
        print("--help after any of them explains its options.")
        print("python -m repro --use FILE.py COMMAND ... knows what a file of yours registers.")
        return
    name, *options = arguments
    if name not in commands():
        raise ValueError(f"no command {name}: choose from {', '.join(commands())}")
    extensions.use_all(files)
    sys.argv = [name, *options]
    runpy.run_module(f"repro.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    cli.ending_in_a_line(lambda: main(sys.argv[1:]))
