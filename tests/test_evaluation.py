import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro import evaluate, models, paper, reference
from repro.data import dataset, suites
from repro.data import microstructure as ms
from repro.data.discretization import CONVERGED
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure, periodic_voronoi
from repro.data.pairs import make_pairs
from repro.evaluation import assessment, campaign, metrics, naive, regions, results
from repro.evaluation.assessment import assess, damask_difference, label_noise
from repro.models.backend import keras
from repro.models.runs import Run, run_of
from repro.reference import Request
from repro.report import tables
from repro.surrogate import SURROGATES, Averaged, Prediction, Surrogate, load, modes

# Grain 1 fills columns 2 to 4 of an 8x8 cell, grain 0 the others.
STRIPE = np.zeros((8, 8), np.uint8)
STRIPE[:, 2:5] = 1


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    """A run as the trainer leaves it, of a small network without training."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    out.mkdir()
    keras.utils.set_random_seed(0)
    models.paper_unet(filters=2, levels=1, kernel=3).save(out / "best.keras")
    (out / "config.json").write_text(json.dumps({"network": "paper_unet", "stride": 5, "seed": 3}))
    pd.DataFrame({"epoch": [1, 2], "mae_validation": [9.0, 8.0]}).to_csv(out / "history.csv")
    return out


def test_runs_that_differ_in_their_seed_only_have_one_configuration(run_directory, tmp_path):
    def configuration(name="best", **settings):
        config = json.loads((run_directory / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, **settings}))
        (tmp_path / "history.csv").write_text("epoch\n1\n")
        return run_of(tmp_path / f"{name}.keras").configuration

    same = configuration()
    assert configuration(seed=4, shuffle_seed=1, epochs=600) == same
    others = configuration(batch_size=16), configuration(bounds="min-max"), configuration("last")
    assert len({same, *others}) == 4


def test_regions_of_a_stripe():
    at_boundary = regions.at_boundary(STRIPE)
    assert at_boundary.any(0).tolist() == at_boundary.all(0).tolist()
    assert np.flatnonzero(at_boundary[0]).tolist() == [1, 2, 4, 5]
    assert set(np.unique(regions.regions(STRIPE))) == {1, 2}  # no triple junction
    np.testing.assert_array_equal(regions.boundary_distance(STRIPE)[3], [1, 0, 0, 1, 0, 0, 1, 2])


def test_triple_junctions_are_where_three_grains_meet():
    grains = STRIPE.copy()
    grains[4:, 5:] = 2
    junction = regions.regions(grains) == regions.REGIONS.index("triple junctions")
    assert junction[4, 4]
    assert junction[0, 4]  # across the edge of the periodic cell
    assert not junction[2, 4]


def test_error_at_the_edge_of_the_cell():
    error = np.zeros((1, 1, 16, 16))
    error[..., :4, :] = 3.0  # two of the four corners, one of the four edges
    load = Load([0, 1], [1, 1.1])
    grains = np.zeros((1, 16, 16), int)
    rows = list(metrics.measure(error, 0 * error + 1e-9, [1], load, grains))
    found = {row.region: row.value for row in rows if row.metric == "MAE"}
    assert found["cell corners"] == pytest.approx(3.0 / 2)
    assert found["cell edges"] == pytest.approx(3.0 / 4)
    assert found["cell middle"] == pytest.approx(0, abs=1e-8)


def test_regions_and_distances_are_periodic(rng):
    grains = periodic_voronoi(rng, 5, 16)
    shifted = np.roll(grains, (5, 11), (0, 1))
    for field in (regions.regions, regions.boundary_distance):
        np.testing.assert_array_equal(field(shifted), np.roll(field(grains), (5, 11), (0, 1)))


def test_a_cell_of_one_grain_has_no_boundary():
    assert np.isinf(regions.boundary_distance(np.zeros((4, 4), int))).all()


def test_measurements_of_a_known_error(rng):
    true = rng.uniform(100, 200, (2, 3, 8, 8))
    error = np.broadcast_to(np.array([1.0, 2.0, 6.0])[:, None, None], true.shape) * 1.0
    error = error + 10 * (regions.regions(STRIPE) == 1)
    load = Load(range(7), [1, 1.1, 1.2, 1.3, 1.2, 1.1, 1])  # and back, at a stride of two
    grains = np.stack([STRIPE] * 2)
    rows = pd.DataFrame(metrics.measure(true + error, true, [2, 4, 6], load, grains))
    rows["against"] = results.AGAINST
    assert not rows.duplicated(["metric", "region", "increment", "distance_px"]).any()

    def get(metric, **where):
        (value,) = results.select(rows, metric=metric, **where)["value"]
        return value

    assert get("MAE") == pytest.approx(3 + 5)
    assert get("MAE", increment=4) == pytest.approx(2 + 5)
    assert results.select(rows, metric="MAE", F11=1.2)["increment"].tolist() == [2, 4]
    assert results.select(rows, metric="MAE", F11=True)["F11"].tolist() == [1.2, 1.2, 1.0]
    assert get("MAE", region="interiors") == pytest.approx(3)
    assert get("MAE", region="grain boundaries") == get("MAE", distance_px=0) == pytest.approx(13)
    assert get("MAE", distance_px=2) == pytest.approx(3)
    assert get("q99") == pytest.approx(16)
    assert get("mean stress error", increment=6) == pytest.approx(
        100 * np.mean(11 / true[:, 2].mean((1, 2)))
    )


def test_a_metric_is_one_entry(data, run_directory, monkeypatch):
    """What is added to `METRICS` is measured where it says, and is a column of the tables."""
    largest = metrics.Metric(lambda predicted, true: float(abs(predicted - true).max()), "Pa")
    monkeypatch.setitem(metrics.METRICS, "largest", largest._replace(by_place=True))
    rows = results.table_of(assess(load(run_directory), data))
    found = rows[rows["metric"] == "largest"]
    assert {"all", "interiors", "cell corners"} <= set(found["region"])
    assert found["increment"].isna().all()
    table = tables.errors(rows)
    assert (table["largest / Pa"] >= table["q99 / MPa"]).all()


def test_tables_written_before_increments_were_named_are_read(data, run_directory, tmp_path):
    results.write_rows(tmp_path / "new.csv", assess(load(run_directory), data))
    new = results.read_rows(tmp_path / "new.csv")
    new.drop(columns="increment").to_csv(tmp_path / "old.csv", index=False)
    old = results.read_rows(tmp_path / "old.csv")
    assert sorted(new["increment"].dropna().unique()) == [5, 10, 15, 20]
    pd.testing.assert_series_equal(old["increment"], new["increment"].astype(float))


def test_one_step_and_rollout_of_a_known_predictor(data):
    pairs = make_pairs(data, [0, 3], stride=5)

    def add_one(x):
        return x[..., 4:] + 1

    np.testing.assert_array_equal(
        modes.one_step(add_one, pairs), naive.persistence(pairs) + np.float32(1)
    )
    assert modes.rollout(add_one, pairs).shape == modes.truth(pairs).shape
    np.testing.assert_array_equal(
        modes.rollout(add_one, pairs)[:, :, 0, 0], [[1, 2, 3, 4], [1, 2, 3, 4]]
    )


def test_extrapolation_is_exact_for_a_linear_history(data):
    linear = data.sigma_vm[:, :1] + np.arange(21, dtype=np.float32)[:, None, None] * 7
    pairs = make_pairs(dataclasses.replace(data, sigma_vm=linear), [1, 2], 2)
    np.testing.assert_array_equal(naive.linear_extrapolation(pairs), modes.truth(pairs)[:, 1:])


def test_taylor_gives_each_grain_the_stress_of_a_homogeneous_cell(data):
    fields = naive.taylor_estimate(data, [2, 4], stride=5)
    assert fields.shape == (2, 4, 16, 16)
    properties = data.properties[4, [data.grain_id[4, 3, 7]]]
    alone = reference.simulate(Microstructure(np.zeros((4, 4), int), properties)).sigma_vm
    np.testing.assert_allclose(fields[1, :, 3, 7], alone[5::5, 2, 1], rtol=1e-5)


def test_taylor_has_the_law_and_the_load_of_the_data(data):
    load = Load.stretch(0.996, 20)
    other = dataclasses.replace(data, time=load.time, F11=load.F11, attributes={"M": 1.0, "h": 3.0})
    field = naive.taylor_estimate(other, [4], stride=20)[0, 0]
    properties = data.properties[4, [data.grain_id[4, 3, 7]]]
    cell = Microstructure(np.zeros((1, 1), int), properties)
    alone = reference.simulate(cell, load, flow_rule=FlowRule(M=1, h=3)).sigma_vm
    assert field[3, 7] == pytest.approx(alone[-1, 0, 0], rel=1e-5)


def test_assessment_is_tidy_and_says_what_it_is_about(data, run_directory, tmp_path):
    rows = results.table_of(assess(load(run_directory), data))
    assert not rows.duplicated(results.KEYS).any()
    assert set(rows["model"]) == {
        "tiny",
        "persistence",
        "linear extrapolation",
        "training mean",
        "Taylor",
    }
    own = rows[rows["model"] == "tiny"]
    assert set(own["mode"]) == {"one-step", "rollout"}
    assert (own[["stride", "epochs", "seed"]] == [5, 2, 3]).all(axis=None)
    assert np.isfinite(rows["value"]).all()
    obsolete = rows.assign(region="no longer measured")
    others = rows.assign(model="another")
    for table in (obsolete, others, rows):  # the last replaces the first, and nothing else
        results.write_rows(tmp_path / "r.csv", table.to_dict("records"))
    read = results.read_rows(tmp_path / "r.csv")
    of_another = read["model"] == "another"
    assert of_another.sum() == (~of_another).sum() == len(rows)
    read = read[~of_another]
    assert "no longer measured" not in set(read["region"])
    (whole,) = results.select(
        read, model="tiny", split="validation", mode="one-step", metric="MAE"
    )["value"]
    pairs = make_pairs(data, dataset.split(data).validation, 5)
    predicted = modes.one_step(modes.network_predictor(models.load(run_directory)), pairs)
    assert whole == pytest.approx(metrics.mae(predicted, modes.truth(pairs)), rel=1e-4)


def noise(data, stride=5):
    return results.select(pd.DataFrame(label_noise(data, stride)), metric="MAE")["value"].item()


def test_label_noise_is_far_below_any_network(data):
    assert 0 < noise(data) < 0.01 * paper.MAE_VALIDATION


def test_label_noise_is_of_the_law_and_the_increments_of_the_data(data):
    """Data of another law, rate and number of solved increments is judged by its own set-up."""
    solved = Load.through((1.002, 1.0), 10, rate=1e-2)
    cells = [data.microstructure(i) for i in range(len(data))]
    runs = reference.simulate_batch(cells, solved, flow_rule=FlowRule(M=1, h=3))
    kept = [0, 4, 10, 20]  # of another solver, that wrote few of its increments
    whole = {"solved_time": solved.time, "solved_F11": solved.F11}
    other = dataclasses.replace(
        data,
        time=solved.time[kept],
        F11=solved.F11[kept],
        sigma_vm=np.stack([run.sigma_vm[kept] for run in runs]).astype(np.float32),
        P_mean=np.stack([run.P_mean[kept] for run in runs]),
        attributes={"M": 1.0, "h": 3.0, "tolerance": 5e-4, **whole},
    )
    assert 0 < noise(other, 1) < 0.01 * paper.MAE_VALIDATION

    def changed(**attributes):
        return dataclasses.replace(other, attributes={"M": 1.0, "h": 3.0, **attributes})

    assert noise(changed(h=1.0, **whole), 1) > 0.1
    assert noise(changed(n=10, **whole), 1) > 0.1
    assert noise(changed(), 1) > 0.1, "solved in the increments that are kept, not in all"
    for form in ({"dilatation": True}, {"hardening_left": 0.5}):
        assert not label_noise(changed(**form), 1), "by a law that is not ours"


def test_campaign_keeps_checks_and_histogram(data, run_directory, tmp_path):
    campaign.evaluate_data(load(run_directory), data, tmp_path / "results.csv")
    checks = campaign.read_checks(tmp_path / "data_checks.csv")
    assert [c.question for c in checks if not c.passed] == ["pixels"]
    histogram = pd.read_csv(tmp_path / "histogram.csv")
    shares = histogram.groupby(["quantity", "F11"], dropna=False)["share"].sum()
    np.testing.assert_allclose(shares, 1, rtol=1e-4)
    assert campaign.read_checks(tmp_path / "nothing.csv") == []


def test_damask_and_the_reference_model_agree_better_than_any_network_will():
    table = pd.DataFrame(damask_difference(5))
    whole = results.select(table, metric="MAE")["value"]
    assert len(whole)
    assert (whole < 0.1 * paper.MAE_VALIDATION).all()


def test_own_data_gets_the_verdict(data_file, run_directory, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    evaluate.main(str(run_directory), data=data_file)
    printed = capsys.readouterr().out
    assert "| tiny | paper | validation | rollout | 5 |" in printed
    assert "not pixels (16x16, the paper has 64x64)" in printed
    assert (tmp_path / "results" / "own" / data_file.stem / "results.csv").is_file()
    assert "warning" not in printed  # the run does not say what it was trained on
    with pytest.raises(ValueError, match="--data and --suite exclude each other"):
        evaluate.main(str(run_directory), suite=("case1",), data=data_file)


def test_an_own_network_is_evaluated_apart_on_what_is_asked_for(
    run_directory, tmp_path, monkeypatch, capsys
):
    few = suites.Suite("a few cells", ms.polycrystal, 99, count=2, size=16)
    monkeypatch.setitem(suites.SUITES, "few", few)
    monkeypatch.setitem(suites.SUITES, "few2", dataclasses.replace(few, stream=98))
    monkeypatch.chdir(tmp_path)
    load_network, loaded = models.load, []
    monkeypatch.setattr(models, "load", lambda path: loaded.append(path) or load_network(path))
    evaluate.main(str(run_directory), suite=("few", "few2"))
    assert loaded == [run_directory / "best.keras"]  # once for all suites
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"few.h5", "few2.h5"}
    table = Path("results", "own", "results.csv")
    assert f"the rows are in {table}" in capsys.readouterr().out
    assert [path for path in Path("results").rglob("*") if path.is_file()] == [table]
    assert {"tiny", "persistence"} <= set(results.read_rows(table)["model"])


@pytest.mark.parametrize("stride", [None, 4])
def test_a_surrogate_of_a_network_is_the_same_in_another_process(run_directory, data, stride):
    cells = [data.microstructure(0)]
    one = load(run_directory, stride)
    other = pickle.loads(pickle.dumps(one))
    assert (other.run, other.stride) == (one.run, one.stride) and one.stride == (stride or 5)
    for both in ((one, other), map(Averaged, (one, other))):
        found = [surrogate(cells, data.load).sigma_vm for surrogate in both]
        np.testing.assert_array_equal(*found)


def test_only_what_comes_with_the_project_is_among_its_results(run_directory, monkeypatch):
    at = {name: evaluate._table(name, None, ("paper",)) for name in ("paper_unet", *SURROGATES)}
    assert set(at.values()) == {Path("results", "results.csv")}
    path = models.SHIPPED / "paper_unet" / "last.keras"
    assert evaluate._table(str(path), None, ("paper",)) == Path("results", "results.csv")
    for name in (str(run_directory), str(run_directory / "best.keras")):
        assert evaluate._table(name, None, ("paper",)) == Path("results", "own", "results.csv")
    own = evaluate._table("paper_unet", None, ("grains5", "mine"))
    assert own == Path("results", "own", "results.csv")


@pytest.mark.parametrize("same", [True, False])
def test_validation_on_other_data_than_a_network_was_trained_on_is_pointed_out(
    data, data_file, run_directory, tmp_path, monkeypatch, capsys, same
):
    run = tmp_path / "run"
    shutil.copytree(run_directory, run)
    config = json.loads((run / "config.json").read_text())
    config["split_hash"] = dataset.split(data).hash if same else "another"
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    evaluate.main(str(run), data=data_file)
    assert ("was trained on another data set" in capsys.readouterr().out) is not same


def test_errors_against_converged_fields_say_so():
    """Of coarser discretizations, and of who predicts whole loads."""
    data = Request("grains10", size=16, discretization=CONVERGED).solve(range(3))
    errors = pd.DataFrame(assessment.discretization_errors(data))
    assert (errors["against"] == str(CONVERGED)).all() and (errors["mode"] == "trajectory").all()
    whole = results.select(errors, metric="MAE", against=str(CONVERGED))
    mae = whole.set_index("discretization")["value"]
    names = [str(d) for d in assessment.COARSER]
    assert mae[names[0]] > 3 * mae[names[2]] and mae[names[1]] > 3 * mae[names[2]] > 0
    of_paper = Request("grains10", size=16).solve(range(1))
    assert assessment.discretization_errors(of_paper) == []

    class Mine(Surrogate):
        run = Run("mine", epochs=3)

        def __call__(self, cells, load):
            assert len(cells) == 3 and load.same_as(data.load)
            return Prediction(data.sigma_vm + 2, np.ones(3))

    (row,) = results.select(
        pd.DataFrame(assess(Mine(), data, beside_naive=False)),
        metric="MAE",
        against=str(CONVERGED),
    ).to_dict("records")
    assert (row["model"], row["mode"], row["suite"]) == ("mine", "trajectory", "grains10")
    assert row["value"] == pytest.approx(2)
