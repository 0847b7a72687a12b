"""What the explorer knows and does, without a page: pytest asks it what the browser asks."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from repro import paper, reference, surrogate
from repro.damask import exchange
from repro.data import dataset
from repro.data.dataset import DataSet, DataSetError
from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import (
    Microstructure,
    generator,
    seed_points,
    table3_properties,
    units_known,
    voronoi,
)
from repro.evaluation.metrics import mae
from repro.report import figures, pictures
from repro.report.gallery import Example, predict_example
from repro.surrogate import SURROGATES, Prediction, Surrogate
from repro.tools.provenance import code_commit
from repro.tools.values import Value, unmasked

NETWORK = "paper_unet"
FILE = "the stress in the file"  # if the cell comes from one
DISCRETIZATIONS = {  # choice -> what is solved
    "one point per pixel, as the paper": PAPER,
    "2 x 2 points per pixel, rotated": Discretization("rotated", 2),
    "4 x 4 points per pixel, rotated": CONVERGED,
}
MAX_INCREMENTS, MAX_SIZE = 100, 256  # beyond them the page would not answer at once


_load = cache(surrogate.load)


@dataclass(frozen=True, eq=False)
class Problem(Value):
    """What is solved: a cell, its load and its flow rule, and where they come from."""

    grain_id: np.ndarray  # (N, N)
    properties: np.ndarray  # (G, 4): E/GPa, nu, xi0/MPa, h0/GPa
    load: Load  # with every increment that is solved
    kept: np.ndarray  # increments of the load that are shown, (T+1,)
    flow_rule: FlowRule
    discretization: Discretization = PAPER
    points: np.ndarray | None = None  # seed points (G, 2) in edges of the cell, if it was drawn
    file: tuple[str, int] | None = None  # path, and number of the cell in it, if it was read
    stored: np.ndarray | None = None  # the stress in the file, as long as nothing is changed, MPa

    @property
    def shown_load(self) -> Load:
        """The load with the increments that are shown."""
        return self.load.at(self.kept)

    def solve(self) -> DataSet:
        """This cell and its trajectory, as a data set of one."""
        cell = Microstructure(self.grain_id, self.properties)
        if cell.grain_count < 2:
            raise ValueError("a cell of one grain has the same stress everywhere: use 2 or more")
        how = {"flow_rule": self.flow_rule, "discretization": self.discretization}
        run = reference.simulate(cell, self.load, **how)
        about = {
            "generator": "repro.explorer",
            "tolerance": reference.TOLERANCE,
            "commit": code_commit(),
            **dataset.solved(self.load),
            **self.flow_rule.attributes,
            **self.discretization.attributes,
        }
        with units_known():
            return dataset.of([cell], [run], about, kept=self.kept)


class Stored(Surrogate):
    """The stress in a file (T+1, N, N), MPa, in the place of a prediction."""

    def __init__(self, sigma_vm: np.ndarray):
        self.sigma_vm = sigma_vm

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Give the stress of the one cell."""
        return Prediction(self.sigma_vm[None], np.ones(1))


class Session:
    """One user's cell, its solution, and what is compared with it.

    A change is made whole or, with an error that says why, not at all.

    Attributes
    ----------
    problem : Problem
    data : DataSet
        The solution by the reference model, a data set of one.
    network : str
        One of `contenders`: a name in `SURROGATES`, or `FILE`.
    mode : str
        "one-step" or "rollout".
    example : Example or None
        The prediction, once `predict` was asked for it.
    increment : int
        The one that is shown; one of `increments`.
    """

    def __init__(self):
        self.network, self.mode, self.increment, self.changes = NETWORK, "rollout", 0, 0
        self.problem: Problem | None = None
        self.draw()

    # --- Changes -----------------------------------------------------------------------

    def draw(self, grains: int = paper.GRAINS, seed: int = 0, size: int = paper.GRID) -> None:
        """Draw a polycrystal, that of `polycrystal(generator(seed), grains, size)`.

        Parameters
        ----------
        grains, seed : int
        size : int
            Pixels along an edge.

        Raises
        ------
        ValueError
            If there is no such cell, or the network does not suit its size.
        """
        if seed < 0:
            raise ValueError(f"the seed must not be negative, got {seed}")
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"the pixels along an edge must lie in 1...{MAX_SIZE}, got {size}")
        rng = generator(seed)
        points = seed_points(rng, grains, size)
        kept = self.problem if self.problem and not self.problem.file else None
        load = kept.load if kept else Load.stretch()
        self._change(
            Problem(
                voronoi(points, size),
                table3_properties(rng, grains),
                load,
                np.arange(load.increments + 1),
                PAPER_RULE,
                kept.discretization if kept else PAPER,
                points,
            )
        )

    def place(self, points: np.ndarray, grains: Sequence[int]) -> None:
        """Move the seed points (G, 2), in edges of the cell, of a drawn polycrystal.

        `grains` are those that the points belong to; a grain that is not among them is left out.
        """
        points, properties = np.asarray(points, float) % 1, self.problem.properties[grains]
        grain_id = voronoi(points, len(self.problem.grain_id))
        self._change(replace(self.problem, points=points, properties=properties, grain_id=grain_id))

    def set_properties(self, properties: np.ndarray) -> None:
        """Give the grains other properties (G, 4): E/GPa, nu, xi0/MPa, h0/GPa."""
        properties = unmasked(properties, "properties", float)
        self._change(replace(self.problem, properties=properties, stored=None))

    def stretch(self, F11: float) -> None:
        """Load to a mean stretch at the paper's rate, in increments as those of the paper."""
        increments = max(1, round(abs(F11 - 1) / paper.STRETCH_STEP))
        if increments > MAX_INCREMENTS:
            most = MAX_INCREMENTS * paper.STRETCH_STEP
            raise ValueError(f"F11 must lie in {1 - most:g}...{1 + most:g} here, got {F11:g}")
        load = Load.stretch(F11, increments)
        kept = np.arange(increments + 1)
        self._change(replace(self.problem, load=load, kept=kept, stored=None))

    def discretize(self, discretization: Discretization) -> None:
        """Solve on other points, or with another derivative in space."""
        self._change(replace(self.problem, discretization=discretization))

    def open(self, path, i: int = 0) -> None:
        """Take cell `i` of a data set, or the one of a DADF5 file of DAMASK, with its load.

        It is compared with the stress in the file if the network does not know such a problem.

        Raises
        ------
        FileNotFoundError, ValueError
            If the file is none, has no such cell, or was solved in a way that is not ours.
        """
        path = str(Path(path).expanduser().resolve())
        data = exchange.read(path)
        if not 0 <= i < len(data):
            raise DataSetError(f"no cell {i}: {path} has 0 to {len(data) - 1}")
        options = data.solver_options
        if options is None:
            raise DataSetError(
                f"{path}: its flow rule or its derivative in space is not the reference model's"
            )
        cell = data.microstructure(i)
        if not cell.is_square:
            raise DataSetError(f"{path}: the explorer shows square cells of square pixels only")
        self._change(
            Problem(
                cell.grain_id,
                cell.properties,
                data.solved_load,
                data.kept,
                **options,
                file=(path, i),
                stored=data.sigma_vm[i],
            )
        )

    def compare(self, network: str, mode: str) -> None:
        """Choose what is compared with the reference model: one of `contenders`, and how."""
        self._check(self.problem, network)
        self.network, self.mode = network, mode
        self._changed()

    def _change(self, problem: Problem) -> None:
        network = NETWORK if self.network == FILE and problem.stored is None else self.network
        if problem.stored is not None and not self._knows(network, problem):
            network = FILE
        self._check(problem, network)
        data = problem.solve()
        self.problem, self.data, self.network = problem, data, network
        self._changed()

    def _knows(self, network, problem) -> bool:
        try:
            self._check(problem, network)
        except ValueError:
            return False
        return True

    def _check(self, problem, network) -> None:
        if network == FILE:
            return
        cell = Microstructure(problem.grain_id, problem.properties)
        _load(network).check([cell], problem.shown_load)
        if problem.flow_rule != PAPER_RULE:
            raise ValueError(f"{network} knows the paper's flow rule alone")

    def _changed(self):
        self.example = None
        self.changes += 1
        if self.increment not in self.increments:
            self.increment = self.increments[-1]

    # --- What is shown -----------------------------------------------------------------

    @property
    def contenders(self) -> list[str]:
        """What can be compared with the reference model."""
        return [*SURROGATES] + [FILE] * (self.problem.stored is not None)

    @property
    def discretizations(self) -> dict[str, Discretization]:
        """What can be chosen, by its words; that of the file among them."""
        present = self.problem.discretization
        known = present in DISCRETIZATIONS.values()
        return DISCRETIZATIONS if known else {**DISCRETIZATIONS, str(present): present}

    @property
    def increments(self) -> list[int]:
        """Increments that the network predicts: every one, or as many apart as it was trained."""
        stride = self.surrogate.stride
        return list(range(stride, self.data.load.increments + 1, stride))

    @property
    def surrogate(self) -> Surrogate:
        """What is compared with the reference model."""
        return Stored(self.problem.stored) if self.network == FILE else _load(self.network)

    @property
    def step(self) -> int:
        """Number of the shown increment among those of the network."""
        return self.increments.index(self.increment)

    def ask(self) -> tuple[int, Example]:
        """What the network predicts, and of which state: takes longer, may run in a thread."""
        changes, data, mode = self.changes, self.data, self.mode
        return changes, predict_example(self.surrogate, data, mode=mode)

    def accept(self, answer: tuple[int, Example]) -> bool:
        """Show the answer of `ask`, unless something was changed meanwhile; whether it is shown."""
        changes, example = answer
        if changes == self.changes:
            self.example = example
        return changes == self.changes

    def predict(self) -> None:
        """Ask the network, and wait for it."""
        self.accept(self.ask())

    def errors(self) -> np.ndarray:
        """Mean absolute error of each predicted increment, MPa."""
        pairs = zip(self.example.sigma_network, self.example.sigma_rm, strict=True)
        return np.array([mae(predicted, true) for predicted, true in pairs])

    def read_out(self) -> list[str]:
        """The shown increment in numbers, one line per contender."""
        true = self.data.sigma_vm[0, self.increment]
        lines = [f"reference model: mean {true.mean():.1f} MPa, largest {true.max():.1f} MPa"]
        if self.example:
            predicted = self.example.sigma_network[self.step]
            difference = np.abs(predicted - true)
            lines.append(
                f"{self.network}: mean {predicted.mean():.1f} MPa, off by "
                f"{difference.mean():.2f} MPa on average, {difference.max():.1f} MPa at most"
            )
        return lines

    # --- What is taken away ------------------------------------------------------------

    def hdf5(self) -> bytes:
        """The cell and its solution as the content of a data set of one."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "cell.h5")
            dataset.write(path, self.data)
            return path.read_bytes()

    def picture(self) -> bytes:
        """Cell, fields, difference and mean stress in the form of the paper's Figs. 1-8, PNG."""
        if self.example is None:
            self.predict()
        shown = self.example
        return pictures.png(
            figures.prediction_figure(
                shown.property_maps, shown.F11, shown.sigma_rm, shown.sigma_network
            )
        )

    def python(self) -> str:
        """Python that computes the same fields: `truth` and `predicted`, (steps, N, N) in MPa."""
        problem = self.problem
        whole = len(problem.kept) == len(problem.load.time)
        solve = _SOLVE.format(
            grains=_grains_in_python(problem),
            properties=_rows(problem.properties),
            load=_load_in_python(problem.load),
            options=_options_in_python(problem),
            kept="" if whole else _KEPT.format(kept=problem.kept.tolist()),
        )
        if self.network == FILE:
            return f"{solve}\npredicted = data.sigma_vm[{problem.file[1]}, 1:]\n"
        modes = self.surrogate.modes(
            [self.data.microstructure(0)], self.data.load, self.data.sigma_vm
        )
        mode = self.mode if self.mode in modes else [*modes][-1]
        return solve + _PREDICT.format(network=self.network, mode=mode)


_SOLVE = """\
import numpy as np

from repro import reference
from repro.data.discretization import Discretization
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure
{grains}
# E/GPa, nu, xi0/MPa, h0/GPa of each grain
properties = np.array({properties})
cell = Microstructure(grain_id, properties)
load = {load}
truth = reference.simulate(cell, load{options}).sigma_vm  # MPa
{kept}"""
_KEPT = """\
kept = {kept}
load, truth = load.at(kept), truth[kept]
"""
_PREDICT = """
from repro import surrogate

modes = surrogate.load({network!r}).modes([cell], load, truth[None])
predicted = modes[{mode!r}]()[0]
"""


def _grains_in_python(problem: Problem) -> str:
    if problem.file:
        path, i = problem.file
        return (
            "from repro.damask import exchange\n\n"
            f"data = exchange.read({path!r})\ngrain_id = data.microstructure({i}).grain_id"
        )
    points = _rows(problem.points)
    return (
        "from repro.data.microstructure import voronoi\n\n"
        f"# x1, x2 of the seed points, in edges of the cell\npoints = np.array({points})\n"
        f"grain_id = voronoi(points, {len(problem.grain_id)})"
    )


def _options_in_python(problem: Problem) -> str:
    options = {"flow_rule": problem.flow_rule, "discretization": problem.discretization}
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _rows(array: np.ndarray) -> str:
    """An array (n, m) as a list in Python, one row per line."""
    return "[\n" + "".join(f"    {row},\n" for row in array.tolist()) + "]"


def _load_in_python(load: Load) -> str:
    if load.same_as(Load.stretch(load.F11[-1], load.increments)):
        return f"Load.stretch({load.F11[-1]}, {load.increments})"
    if load.is_plane_strain_along_x1:
        return f"Load({load.time.tolist()}, {load.F11.tolist()})  # s, F11"
    F, P = (str(array.tolist()).replace("nan", "np.nan") for array in (load.F, load.P))
    return f"Load({load.time.tolist()}, {F}, {P})  # s, F, P/MPa"
