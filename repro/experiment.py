"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

from pathlib import Path

from matplotlib.figure import Figure

from repro import dataset, generation, models, training, verification
from repro.backend import keras
from repro.evaluation import modes, results
from repro.evaluation.assessment import assess
from repro.files import atomic_path
from repro.pipeline import make_pairs
from repro.report import figures, tables
from repro.training import TrainingConfig


def load_or_generate(path, count: int) -> dataset.DataSet:
    """Read a data set; if the file is missing, generate `count` microstructures first."""
    if not Path(path).exists():
        generation.generate(path, count=count)
    return dataset.read(path)


def train_and_evaluate(
    network: str,
    data: dataset.DataSet,
    out,
    config: TrainingConfig,
    stride: int,
    time_limit: float | None = None,
    tensorboard: bool = False,
) -> None:
    """Verify a data set, train a network of `models.NETWORKS` on it, evaluate the best weights."""
    out = Path(out)
    print(verification.report(verification.verify(data)))
    split = dataset.split(data)
    pairs = [make_pairs(data, part, stride) for part in (split.training, split.validation)]
    keras.utils.set_random_seed(config.seed)
    model = models.NETWORKS[network]()
    print(f"training {network} ({model.count_params()} parameters), results in {out}")
    identity = {
        "network": network, "stride": stride, "split_hash": split.hash,
        "data_hash": dataset.data_hash(data),
    }  # fmt: skip
    state = training.train(
        model, *pairs, config, out, identity, time_limit, tensorboard=tensorboard
    )
    if not state.epoch:
        print("no epoch was completed: start the same command again")
        return
    if not training.finished(state, config):
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")
    save_figure(out / "learning_curve.png", figures.learning_curve(state.history, network))
    results.write_rows(out / "results.csv", assess(out, data))
    table = results.read_rows(out / "results.csv")
    tables.write_report(table, out / "RESULTS.md", f"{network}: {out.name}")
    print(tables.markdown(tables.errors(table)))
    example = example_figure(models.load(out), data, split.validation[0], stride)
    save_figure(out / "prediction.png", example)
    print(f"pictures: {out / 'prediction.png'}, {out / 'learning_curve.png'}")


def example_figure(model: keras.Model, data: dataset.DataSet, i: int, stride: int) -> Figure:
    """The form of the paper's Figs. 1-3 for microstructure i: a rollout beside the truth."""
    pairs = make_pairs(data, [i], stride)
    predicted = modes.rollout(modes.network_predictor(model), pairs)[0]
    F11 = data.F11[stride::stride]
    return figures.prediction_figure(pairs.properties[0], F11, modes.truth(pairs)[0], predicted)


def save_figure(path, figure: Figure) -> None:
    """Write a figure, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
