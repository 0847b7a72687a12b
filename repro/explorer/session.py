"""What the explorer knows and does, without a page: pytest asks it what the browser asks."""

import re
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
from repro.data.grain_maps import READERS, read_grain_map
from repro.data.load import Load
from repro.data.microstructure import (
    Microstructure,
    generator,
    grid_shape,
    seed_points,
    table3_properties,
    voronoi,
)
from repro.evaluation.metrics import mae
from repro.reference.many import divided
from repro.report import figures, pictures
from repro.report.gallery import Example, predict_example
from repro.surrogate import SURROGATES, Prediction, Surrogate
from repro.tools.values import Value, number, unmasked

NETWORK = "paper_unet"
FILE = "the stress in the file"  # if the cell comes from one
DISCRETIZATIONS = {  # choice -> what is solved
    "one point per pixel, as the paper": PAPER,
    "2 x 2 points per pixel, rotated": Discretization("rotated", 2),
    "4 x 4 points per pixel, rotated": CONVERGED,
}
STRETCH, FREE = "stretch", np.nan
# Choice -> change of the mean deformation gradient over the strain, NaN where it is free of stress,
# and the strains that are reached in turn, over that which is chosen.
LOADS = {
    STRETCH: (np.diag([1, 0, 0]), [1]),
    "tension": (np.diag([1, FREE, FREE]), [1]),
    "biaxial stretch": (np.diag([1, 1, FREE]), [1]),
    "simple shear": (np.outer([1, 0, 0], [0, 1, 0]), [1]),
    "cyclic stretch": (np.diag([1, 0, 0]), [1, -1, 0]),
}
DATA_SETS = (".h5", ".hdf5")  # suffixes that a grain map may have, too
MAX_INCREMENTS, MAX_SIZE = 100, 256  # beyond them the page would not answer at once


_load = cache(surrogate.load)


@dataclass(frozen=True, eq=False)
class Problem(Value):
    """What is solved: a cell, its load and its flow rule, and where they come from."""

    grain_id: np.ndarray  # (N1, N2)
    properties: np.ndarray  # (G, 4): E/GPa, nu, xi0/MPa, h0/GPa
    load: Load  # with every increment that is solved
    kept: np.ndarray  # increments of the load that are shown, (T+1,)
    flow_rule: FlowRule
    discretization: Discretization = PAPER
    loading: tuple[str, float] | None = None  # one of LOADS and its strain, if it is one
    edges: np.ndarray | None = None  # of the cell, if its pixels are not square
    points: np.ndarray | None = None  # seed points (G, 2) in edges of the cell, if it was drawn
    file: tuple[str, int] | None = None  # path, and number of the cell in it, if it was read
    grain_map: tuple[str, str] | None = None  # path and layer, if only the grains were read
    stored: np.ndarray | None = None  # the stress in the file, as long as nothing is changed, MPa

    @property
    def shown_load(self) -> Load:
        """The load with the increments that are shown."""
        return self.load.at(self.kept)

    @property
    def cell(self) -> Microstructure:
        """What is solved."""
        return Microstructure(self.grain_id, self.properties, self.edges)

    def solve(self) -> DataSet:
        """This cell and its trajectory, as a data set of one."""
        cell = self.cell
        if cell.grain_count < 2:
            raise ValueError("a cell of one grain has the same stress everywhere: use 2 or more")
        return reference.solve(
            [cell],
            self.load,
            self.discretization,
            flow_rule=self.flow_rule,
            tol=reference.TOLERANCE,
            kept=self.kept,
            attributes={"generator": "repro.explorer"},
        )


def _check_size(grid: tuple[int, int]) -> None:
    if max(grid) > MAX_SIZE:
        raise ValueError(f"the pixels along an edge must lie in 1...{MAX_SIZE}, got {max(grid)}")


class Stored(Surrogate):
    """The stress in a file (T+1, N1, N2), MPa, in the place of a prediction."""

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
    refusal : str
        Why the network does not predict such a cell under such a load; empty if it does.
    example : Example or None
        The prediction, once `predict` was asked for it.
    increment : int
        The one that is shown; one of `increments`.
    """

    def __init__(self):
        self.network, self.mode, self.increment, self.changes = NETWORK, "rollout", 0, 0
        self.problem: Problem | None = None
        self.refusal = ""
        self.draw()

    # --- Changes -----------------------------------------------------------------------

    def draw(
        self,
        grains: int = paper.GRAINS,
        seed: int = 0,
        size: int | tuple[int, int] | str = paper.GRID,
    ) -> None:
        """Draw a polycrystal, that of `polycrystal(generator(seed), grains, size)`.

        Parameters
        ----------
        grains, seed : int
        size : int, (int, int) or str
            Pixels along both edges, or N1 and N2, such as "96 x 48"; they are square.

        Raises
        ------
        ValueError
            If there is no such cell.
        """
        if seed < 0:
            raise ValueError(f"the seed must not be negative, got {seed}")
        if isinstance(size, str):
            if not re.fullmatch(r"\s*\d+\s*(x\s*\d+\s*)?", size):
                raise ValueError(f"pixels are a number or two, such as 64 or 96 x 48, got {size!r}")
            size = tuple(map(int, size.split("x") * (1 + ("x" not in size))))
        _check_size(grid_shape(size))
        rng = generator(seed)
        points = seed_points(rng, grains, size)
        self._new(voronoi(points, size), table3_properties(rng, grains), points=points)

    def _new(self, grain_id, properties, **origin) -> None:
        """Take another cell, under the load of the present one unless that was read with it."""
        kept = self.problem if self.problem and not self.problem.file else None
        load = kept.load if kept else Load.stretch()
        self._change(
            Problem(
                grain_id,
                properties,
                load,
                np.arange(load.increments + 1),
                PAPER_RULE,
                kept.discretization if kept else PAPER,
                kept.loading if kept else (STRETCH, paper.F11_TRAINING - 1),
                **origin,
            )
        )

    def place(self, points: np.ndarray, grains: Sequence[int]) -> None:
        """Move the seed points (G, 2), in edges of the cell, of a drawn polycrystal.

        `grains` are those that the points belong to; a grain that is not among them is left out.
        """
        points, properties = np.asarray(points, float) % 1, self.problem.properties[grains]
        grain_id = voronoi(points, self.problem.grain_id.shape)
        self._change(replace(self.problem, points=points, properties=properties, grain_id=grain_id))

    def set_properties(self, properties: np.ndarray) -> None:
        """Give the grains other properties (G, 4): E/GPa, nu, xi0/MPa, h0/GPa."""
        properties = unmasked(properties, "properties", float)
        self._change(replace(self.problem, properties=properties, stored=None))

    def put_under(self, kind: str, strain: float) -> None:
        """Load to a strain in one of the ways of `LOADS`, in increments as those of the paper."""
        strain, (change, turns) = number(strain, "strain"), LOADS[kind]
        most = MAX_INCREMENTS * paper.STRETCH_STEP / abs(np.diff([0, *turns])).sum()
        if not 0 < abs(strain) < most * (1 + 1e-6):
            raise ValueError(
                f"the strain must lie in {-most:g}...{most:g} here and not be 0, got {strain:g}"
            )
        F = np.eye(3) + strain * np.multiply.outer([0, *turns], change)
        time = np.append(0, Load(range(len(F)), F).changes.cumsum() / paper.RATE)
        load, _ = divided(Load(time, F))
        kept = np.arange(load.increments + 1)
        self._change(
            replace(self.problem, load=load, kept=kept, loading=(kind, strain), stored=None)
        )

    def discretize(self, discretization: Discretization) -> None:
        """Solve on other points, or with another derivative in space."""
        self._change(replace(self.problem, discretization=discretization))

    def open(self, path, i: int = 0) -> None:
        """Take cell `i` of a data set, or the one of a DADF5 file of DAMASK, with its load.

        It is compared with the stress in the file if the network does not know such a problem. Of a
        grain map (`repro.data.grain_maps`) it is the layer z = i; properties are drawn.

        Raises
        ------
        FileNotFoundError, ValueError
            If the file is none, has no such cell, or was solved in a way that is not ours.
        """
        path = str(Path(path).expanduser().resolve())
        suffix = Path(path).suffix.lower()
        if suffix in READERS and suffix not in DATA_SETS:
            return self._open_map(path, f"z={i}")
        data = exchange.read(path)
        if not 0 <= i < len(data):
            raise DataSetError(f"no cell {i}: {path} has 0 to {len(data) - 1}")
        options = data.solver_options
        if options is None:
            raise DataSetError(
                f"{path}: its flow rule or its derivative in space is not the reference model's"
            )
        cell = data.microstructure(i)
        self._change(
            Problem(
                cell.grain_id,
                cell.properties,
                data.solved_load,
                data.kept,
                **options,
                edges=cell.edges,
                file=(path, i),
                stored=data.sigma_vm[i],
            )
        )

    def _open_map(self, path: str, layer: str) -> None:
        found = read_grain_map(path, layer)
        _check_size(found.ids.shape)
        cell = found.cell(found.draw(generator(0)))
        self._new(cell.grain_id, cell.properties, edges=cell.edges, grain_map=(path, layer))

    def upload(self, name: str, content: bytes, i: int = 0) -> None:
        """`open` a file that a browser has sent."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder).resolve() / Path(name).name
            path.write_bytes(content)
            try:
                self.open(path, i)
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), path.name)) from None
        places = {place: getattr(self.problem, place) for place in ("file", "grain_map")}
        named = {place: (path.name, found[1]) for place, found in places.items() if found}
        self.problem = replace(self.problem, **named)

    def compare(self, network: str, mode: str) -> None:
        """Choose what is compared with the reference model: one of `contenders`, and how."""
        self.refusal = self._refusal(self.problem, network)
        self.network, self.mode = network, mode
        self._changed()

    def _change(self, problem: Problem) -> None:
        data = problem.solve()
        network = NETWORK if self.network == FILE and problem.stored is None else self.network
        if problem.stored is not None and self._refusal(problem, network):
            network = FILE
        self.refusal = self._refusal(problem, network)
        self.problem, self.data, self.network = problem, data, network
        self._changed()

    def _refusal(self, problem, network) -> str:
        if network == FILE:
            return ""
        one = _load(network)
        if problem.flow_rule != PAPER_RULE:
            return f"{network} knows the paper's flow rule alone"
        try:
            one.check([problem.cell], problem.shown_load)
        except ValueError as error:
            return str(error)
        return ""

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
        stride = 1 if self.refusal else self.surrogate.stride
        return list(range(stride, self.data.load.increments + 1, stride))

    @property
    def course(self) -> tuple[str, np.ndarray]:
        """What the increments are shown over, (T+1,), and its name."""
        F11 = self.data.F11
        steady = abs(np.sign(np.diff(F11)).sum()) == self.data.load.increments
        return ("mean stretch F11", F11) if steady else ("time / s", self.data.time)

    @property
    def surrogate(self) -> Surrogate:
        """What is compared with the reference model."""
        return Stored(self.problem.stored) if self.network == FILE else _load(self.network)

    @property
    def step(self) -> int:
        """Number of the shown increment among those of the network."""
        return self.increments.index(self.increment)

    def ask(self) -> tuple[int, Example | None]:
        """What the network predicts, and of which state: takes longer, may run in a thread."""
        changes, data, mode = self.changes, self.data, self.mode
        return changes, None if self.refusal else predict_example(self.surrogate, data, mode=mode)

    def accept(self, answer: tuple[int, Example | None]) -> bool:
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
        if self.refusal:
            lines.append(f"{self.network} is not asked: {self.refusal}")
        if self.example:
            predicted = self.example.sigma_network[self.step]
            difference = np.abs(predicted - true)
            lines.append(
                f"{self.network}: mean {predicted.mean():.1f} MPa, off by "
                f"{difference.mean():.2f} MPa on average, {difference.max():.1f} MPa at most"
            )
            if self.example.score is not None:
                score = f"{self.example.score:.2f} MPa"
                lines.append(f"its score of this cell, larger where it is less sure: {score}")
            if self.example.bound is not None:
                lines.append(
                    f"of cells as the paper's, 90 % are off by less than {self.example.bound:.2f} "
                    f"MPa at this score ({self.surrogate.against})"
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
        if self.refusal:
            raise ValueError(self.refusal)
        if self.example is None:
            self.predict()
        shown = self.example
        return pictures.png(
            figures.prediction_figure(
                shown.property_maps, shown.F11, shown.sigma_rm, shown.sigma_network
            )
        )

    def python(self) -> str:
        """Python that computes the same fields: `truth` and `predicted`, (steps, N1, N2) in MPa."""
        problem = self.problem
        whole = len(problem.kept) == len(problem.load.time)
        solve = _SOLVE.format(
            grains=_grains_in_python(problem),
            properties=_rows(problem.properties),
            edges="" if problem.edges is None else f", {problem.edges.tolist()}",
            load=_load_in_python(problem.load),
            options=_options_in_python(problem),
            kept="" if whole else _KEPT.format(kept=problem.kept.tolist()),
        )
        if self.refusal:
            return solve
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
cell = Microstructure(grain_id, properties{edges})
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
    if problem.grain_map:
        path, layer = problem.grain_map
        return (
            "from repro.data.grain_maps import read_grain_map\n\n"
            f"grain_id = read_grain_map({path!r}, {layer!r}).grain_id"
        )
    points = _rows(problem.points)
    return (
        "from repro.data.microstructure import voronoi\n\n"
        f"# x1, x2 of the seed points, in edges of the cell\npoints = np.array({points})\n"
        f"grain_id = voronoi(points, {problem.grain_id.shape})"
    )


def _options_in_python(problem: Problem) -> str:
    options = {"flow_rule": problem.flow_rule, "discretization": problem.discretization}
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _rows(array: np.ndarray) -> str:
    """An array (n, m) as a list in Python, one row per line."""
    return "[\n" + "".join(f"    {row},\n" for row in array.tolist()) + "]"


def _load_in_python(load: Load) -> str:
    F11 = load.F11[-1]
    if F11 != 1 and load.same_as(Load.stretch(F11, load.increments)):
        return f"Load.stretch({F11}, {load.increments})"
    if load.is_plane_strain_along_x1:
        return f"Load({load.time.tolist()}, {load.F11.tolist()})  # s, F11"
    F, P = (str(array.tolist()).replace("nan", "np.nan") for array in (load.F, load.P))
    return f"Load({load.time.tolist()}, {F}, {P})  # s, F, P/MPa"
