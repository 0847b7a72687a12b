"""How commands show that they go on."""

import io
import sys

import pytest

from repro.tools import progress
from repro.tools.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch, capsys):
    """What is written where half a minute passes at once; it is not a terminal."""
    monkeypatch.setattr(progress, "LINES", {**progress.LINES, "delay": 0, "mininterval": 0})
    return lambda: capsys.readouterr().err


def test_a_log_has_lines_that_say_what_how_far_and_how_long_yet(log):
    assert list(Progress("abcd", "drawing", "figure")) == list("abcd")
    text = log()
    assert "\r" not in text
    first, *_, last = text.splitlines()
    assert first == "drawing: 0 of 4 figures, 00:00, ? left"
    assert last.startswith("drawing: 4 of 4 figures, ")


def test_a_log_does_not_mention_what_is_done_in_half_a_minute(capsys):
    list(Progress(range(1000), "drawing", "figure"))
    assert not capsys.readouterr().err


def test_a_terminal_has_a_bar(monkeypatch):
    monkeypatch.setattr(progress, "BAR", {**progress.BAR, "delay": 0, "mininterval": 0})
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(what="drawing", total=4, initial=1, ncols=80) as bar:
        bar.update(3)
    assert "\rdrawing:  25%" in sys.stderr.getvalue()
    assert "4/4" in sys.stderr.getvalue()


def test_what_is_not_to_be_shown_is_not(log):
    list(Progress(range(3), shown=False))
    assert not log()
