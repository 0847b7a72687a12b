"""The suites: families of microstructures, and the load that each is put under.

A suite says all that there is to say about it: how its cells are drawn, what it is called, in which
section of the results it stands, and what the paper reports of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from repro import paper
from repro.data import microstructure as ms
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure

# Sections of the results, in their order.
TRAINING = "Training and validation"
TABLE_1 = "Number of grains (Table 1)"
TABLE_2 = "Property contrast (Table 2)"
INCLUSIONS = "Inclusions (Figs. 6, 7)"
BEYOND = "Beyond the paper"
SECTIONS = (TRAINING, TABLE_1, TABLE_2, INCLUSIONS, BEYOND)


@dataclass(frozen=True)
class Suite:
    """A family of microstructures, the load they are put under, and where their results stand.

    Parameters
    ----------
    title : str
        What it is called in the results.
    draw : callable
        (rng, size=) -> Microstructure.
    stream : int
        A number of its own, which makes the seeds of different suites disjoint.
    sections : tuple of str
        The sections of the results in which it stands.
    parts : tuple of str
        The parts in which its data is evaluated: "all", or "training" and "validation".
    paper_mae : mapping
        The MAE that the paper reports of a part, MPa.
    count, size : int
        Microstructures, and pixels along an edge of the cell.
    load : Load
    flow_rule : FlowRule
    discretization : Discretization
        In space.
    """

    title: str
    draw: Callable[..., Microstructure]
    stream: int
    sections: tuple[str, ...] = (BEYOND,)
    parts: tuple[str, ...] = ("all",)
    paper_mae: Mapping[str, float] = field(default_factory=dict)
    count: int = paper.TEST_MICROSTRUCTURES
    size: int = paper.GRID
    load: Load = field(default_factory=Load.stretch)
    flow_rule: FlowRule = PAPER_RULE
    discretization: Discretization = PAPER


def _polycrystal(title, stream, /, *, about=None, **options):
    return Suite(title, partial(ms.polycrystal, **options), stream, **(about or {}))


def _inclusion(title, stream, outline, about=None, **size):
    draw = partial(ms.inclusion, outline=partial(outline, **size))
    return Suite(title, draw, stream, **(about or {}))


def _grains(count, stream):
    about = {"sections": (TABLE_1,), "paper_mae": {"all": paper.MAE_GRAINS[count]}}
    return _polycrystal(f"{count} grains", stream, about=about, grains=count)


def _case(k):
    about = {"sections": (TABLE_2,), "paper_mae": {"all": paper.MAE_CASES[k]}}
    properties = partial(ms.case_properties, case=k)
    return _polycrystal(f"Case {k}", 2 + k, about=about, properties=properties)


def _larger(size, stream, count):
    """Finer grids of larger cells: as many pixels per grain as in training."""
    grains = paper.GRAINS * (size // paper.GRID) ** 2
    about = {"count": count, "size": size}
    return _polycrystal(f"{size} x {size} pixels", stream, about=about, grains=grains)


SUITES = {
    "grains5": _grains(5, 1),
    "paper": Suite(
        "10 grains",
        ms.polycrystal,
        0,
        sections=(TRAINING, TABLE_1),
        parts=("training", "validation"),
        paper_mae={"training": paper.MAE_TRAINING, "validation": paper.MAE_VALIDATION},
        count=paper.MICROSTRUCTURES,
    ),
    # Like the validation part, but nothing was ever selected on it.
    "grains10": Suite(
        "10 grains, unseen",
        ms.polycrystal,
        21,
        sections=(TRAINING, TABLE_1),
        paper_mae={"all": paper.MAE_VALIDATION},
    ),
    "grains20": _grains(20, 2),
    **{f"case{k}": _case(k) for k in paper.CASES},
    "circle": _inclusion(
        "circular inclusion",
        7,
        ms.circular_inclusion,
        {"sections": (INCLUSIONS,), "paper_mae": {"all": paper.MAE_CIRCLE}},
    ),
    "square": _inclusion(
        "square inclusion",
        8,
        ms.square_inclusion,
        {"sections": (INCLUSIONS,), "paper_mae": {"all": paper.MAE_SQUARE}},
    ),
    "extension": Suite(
        f"to F11 = {paper.F11_EXTENSION}",
        ms.polycrystal,
        9,
        load=Load.stretch(paper.F11_EXTENSION, 2 * paper.INCREMENTS),
    ),
    "grains2": _polycrystal("2 grains", 10, grains=2),
    "grains40": _polycrystal("40 grains", 11, grains=40),
    "out_of_range": _polycrystal(
        "properties outside Table 3", 12, properties=ms.out_of_range_properties
    ),
    "size128": _larger(128, 13, count=20),
    "size256": _larger(256, 14, count=5),
    "elongated": _polycrystal(
        "elongated grains", 15, tessellation=partial(ms.periodic_voronoi, aspect=ms.ELONGATION)
    ),
    "circles": Suite("circles in a matrix", ms.composite, 16),
    # The paper does not state the size of its inclusions: smaller and larger ones than ours.
    "circle15": _inclusion("circle of radius 0.15", 17, ms.circular_inclusion, radius=0.15),
    "circle40": _inclusion("circle of radius 0.4", 18, ms.circular_inclusion, radius=0.4),
    "square25": _inclusion("square of edge 0.25", 19, ms.square_inclusion, edge=0.25),
    "square75": _inclusion("square of edge 0.75", 20, ms.square_inclusion, edge=0.75),
}
"""All registered suites: name -> `Suite`."""
OF_PROJECT = frozenset(SUITES)
"""Names of the suites of the project itself; what a user registers is not among them."""


def paper_mae(suite: str, part: str = "all") -> float | None:
    """The MAE that the paper reports of a part of a suite, MPa; None if it reports none."""
    return SUITES[suite].paper_mae.get(part) if suite in SUITES else None


def lines(section: str) -> dict[str, tuple[str, str]]:
    """Lines of a section of the results: title -> suite and part of its data set."""
    found = {}
    for name, suite in SUITES.items():
        if section in suite.sections:
            for part in suite.parts:
                title = suite.title if part == "all" else f"{suite.title}, {part}"
                found[title] = (name, part)
    return found
