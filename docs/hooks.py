"""What mkdocs lacks for this site: pages from outside of docs/, commands, equations, a check.

The site has the tree of the repository, with what is in docs/ on top: so the relative links of
results, notebooks and README hold on the site as on a code host.
"""

import csv
import io
import os
import posixpath
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from html import unescape
from pathlib import Path
from unittest import mock

import griffe
import latex2mathml.converter
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

from repro.__main__ import commands
from repro.tools import cli

ROOT = Path(__file__).parents[1]
FACES = ("data", "reference", "models", "surrogate", "evaluation", "damask")
COPIED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DESIGN.md",
    "CITATION.cff",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "LICENSE",
    "notebooks/*.ipynb",
    "results/*.md",
    "results/*.png",
    "results/benchmark_*.csv",
    "results/verification.csv",
    "results/figures/*",
    "results/tables/*.csv",
    "repro/models/shipped/*/*.md",
    "repro/models/shipped/*/*.png",
)
NETWORKS = "repro/models/shipped/index.md"
WIDTH = 96  # columns of a help text
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]*)")
TABLE = re.compile(r"<!-- table (\S+) (\w+)=(.+?) -->")
DOCSTRING = re.compile(r"<!-- docstring (\S+) -->")
GRID = re.compile(r"^(=+ )+=+\n.*?^(=+ )+=+\n.*?^(=+ )+=+$", re.S | re.M)
# Code hosts need no empty line before a list.
BEFORE_LIST = re.compile(r"^((?![-*|#`]|\d+\.|\s).+\n)(?=- \S)", re.M)
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_config(config):
    """Put all pages of results, and the cards of the shipped networks, behind the first of them."""
    (results,) = (section["Results"] for section in config.nav if "Results" in section)
    pages = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("results/*.md"))]
    results += [page for page in pages if page not in results]
    cards = [{path.parent.name: path.relative_to(ROOT).as_posix()} for path in _cards()]
    results.append({"Networks": [NETWORKS, *cards]})


def on_files(files, config):
    """Add results, cards, notebooks and the page of commands."""
    text = "# Shipped networks\n\n" + "\n".join(
        f"- [{card.parent.name}]({card.parent.name}/README.md)" for card in _cards()
    )
    files.append(File.generated(config, NETWORKS, content=text))
    for path in sorted(path for pattern in COPIED for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
        if path.suffix == ".ipynb":
            for uri, content in _notebook(path, name):
                files.append(File.generated(config, uri, content=content))
    text = _commands_page()
    files.append(File.generated(config, "reference/commands.md", content=text))
    return files


def on_pre_build(config):
    """Refuse public names without a docstring."""
    missing = list(_undocumented(griffe.load("repro", search_paths=[ROOT])))
    if missing:
        raise PluginError(f"without a docstring: {', '.join(missing)}")


def on_page_markdown(markdown, page, config, files):
    """Put in tables and docstrings, and let links lead to where the site has their targets."""
    markdown = DOCSTRING.sub(_docstring, TABLE.sub(_table, markdown))
    markdown = BEFORE_LIST.sub(r"\1\n", markdown)
    source = page.file.src_uri
    in_docs = page.file.generated_by is None
    folder = posixpath.dirname(f"docs/{source}" if in_docs else source)
    here = posixpath.dirname(source) or "."

    def on_site(match):
        if not match[1]:
            return ""
        page = match[1] + ("index.md" if match[1].endswith("/") else "")
        target = posixpath.normpath(posixpath.join(folder, page))
        scalable = re.sub(r"\.png$", ".svg", target)
        target = scalable if (ROOT / scalable).is_file() else target
        return posixpath.relpath(target.removeprefix("docs/"), here)

    return LINK.sub(on_site, markdown)


def on_page_content(html, page, config, files):
    """Make MathML of equations, which browsers draw by themselves."""

    def mathml(match):
        display = "block" if match[2] == "[" else "inline"
        return latex2mathml.converter.convert(unescape(match[3]), display=display)

    return EQUATION.sub(mathml, html)


def _cards() -> list[Path]:
    return sorted(ROOT.glob("repro/models/shipped/*/README.md"))


def _table(match) -> str:
    """Rows of a table of results in which a column, which is left out, has one of some values."""
    path, column, values = match.groups()
    rows = list(csv.reader((ROOT / path).read_text(encoding="utf-8").splitlines()))
    place = rows[0].index(column)
    kept = [row for row in rows[1:] if row[place] in values.split("|")]
    if not kept:
        raise PluginError(f"{path}: {column} is nowhere {values}")
    return _markdown_table([row[:place] + row[place + 1 :] for row in [rows[0], *kept]])


def _docstring(match) -> str:
    """The docstring of a module below its first line, with tables as Markdown has them."""
    text = griffe.load(match[1], search_paths=[ROOT]).docstring.value.split("\n", 1)[1]
    return GRID.sub(lambda grid: _markdown_table(_cells(grid[0].splitlines())), text)


def _cells(lines) -> list[list[str]]:
    """Cells of a table of reStructuredText, whose rules say where the columns are."""
    starts = [column.start() for column in re.finditer("=+", lines[0])]
    columns = [slice(*ends) for ends in zip(starts, [*starts[1:], None], strict=True)]
    return [[line[c].strip() for c in columns] for line in lines if not line.startswith("==")]


def _markdown_table(rows) -> str:
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _notebook(path, name) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook with its stored outputs, and its pictures."""
    text, resources = MarkdownExporter().from_filename(str(path))
    text = re.sub(r"<style scoped>.*?</style>\n?|^ +(?=<)", "", text, flags=re.S | re.M)
    note = f"*This page is the notebook [{path.name}]({path.name}) with its stored outputs.*"
    title, rest = text.lstrip().split("\n", 1)
    yield name.replace(".ipynb", ".md"), f"{title}\n\n{note}\n{rest}"
    for picture, content in resources["outputs"].items():
        yield posixpath.join(posixpath.dirname(name), picture), content


# --- Commands --------------------------------------------------------------------------------


def _commands_page() -> str:
    parts = [
        "# Commands\n",
        "Generated from the commands themselves. Each is run as `python -m repro.NAME`, and shows",
        "this page's text with `--help`. `python -m repro --use FILE.py NAME ...` runs a command",
        "that also knows what a file of yours registers ([how to](../howto/extend.md)).\n",
        "| command | what it does |\n| --- | --- |",
        *(f"| [`repro.{name}`](#{name}) | {text} |" for name, text in commands().items()),
    ]
    for name in commands():
        text, subcommands = _help(name)
        parts += [f"\n## repro.{name} {{ #{name} }}\n", text]
        for sub in subcommands:
            parts += [f"\n### {name} {sub}\n", _help(name, sub)[0]]
    return "\n".join(parts) + "\n"


def _help(*words: str) -> tuple[str, list[str]]:
    """What --help of a command prints, as Markdown, and its subcommands."""
    parsed, subcommands, output = cli._parsed, [], io.StringIO()

    def recorded(main):
        subcommands.extend(main if isinstance(main, dict) else [])
        return parsed(main)

    with (
        mock.patch.object(cli, "_parsed", recorded),
        mock.patch.object(sys, "argv", [*words, "--help"]),
        mock.patch.dict(os.environ, COLUMNS=str(WIDTH)),
        redirect_stdout(output),
    ):
        try:
            runpy.run_module(f"repro.{words[0]}", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            if stop.code:
                raise PluginError(f"{' '.join(words)} --help fails") from None
    return _as_markdown(output.getvalue().strip()), subcommands


def _as_markdown(text) -> str:
    """A help text: usage and options as they are, without rules, and what is between as text."""
    usage, _, rest = text.partition("\n\n")
    about, *sections = re.split(r"^ *(\S.*[^. ]) *\n *-{9,} *$", rest, flags=re.M)
    titled = zip(sections[::2], sections[1::2], strict=True)
    options = "".join(f"{title}:{body}" for title, body in titled)
    options = re.sub(r" *-{9,} *\n| +$", "", options, flags=re.M)
    return f"```text\n{usage}\n```\n\n{about.strip()}\n\n```text\n{options.rstrip()}\n```"


# --- Docstrings ------------------------------------------------------------------------------


def _undocumented(package) -> Iterator[str]:
    """Full names that are public and have no docstring."""
    for face in FACES:
        module = package[face]
        for name in map(str, module.exports):
            item = module[name]
            item = item.final_target if item.is_alias else item
            yield from _without_docstring(item)


def _without_docstring(item) -> Iterator[str]:
    if not item.has_docstring:
        yield item.path
    if item.is_class or item.is_module:
        for member in item.members.values():
            if _is_public(member):
                yield from _without_docstring(member)


def _is_public(member) -> bool:
    """Whether a member of a class or module is a function or class for users."""
    named = not member.name.startswith("_") or member.name == "__call__"
    return named and not member.is_alias and (member.is_function or member.is_class)
