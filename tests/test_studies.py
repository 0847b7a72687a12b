from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from repro import models, paper, study
from repro.experiments import studies
from repro.experiments.options import Scale
from repro.experiments.variants import ABLATION, OPEN_CHOICES, STUDIES, Variant
from repro.reference import Request
from repro.training import trainer

RESULTS = Path(__file__).parents[1] / "results"
SCALE = Scale(microstructures=6, filters=2, samples=16)


@pytest.fixture
def solved(data, monkeypatch):
    monkeypatch.setattr(Request, "solve", lambda request, indices: data)
    studies._solved.cache_clear()
    yield
    studies._solved.cache_clear()


@pytest.mark.usefixtures("solved")
def test_study_trains_every_variant_once_and_goes_on_where_it_was(tmp_path, monkeypatch, elsewhere):
    out, trained, train = tmp_path / "a.csv", [], trainer.train
    monkeypatch.setattr(
        trainer, "train", lambda *args, **kw: trained.append(args[4]) or train(*args, **kw)
    )
    # The first two are the same settings under different names: one run.
    vary = partial(Variant, options={"levels": 1})
    variants = [
        vary("batch size", "8", samples={"stride": 10}),
        vary("time step", "10", samples={"stride": 10}),
        vary("time step", "20", samples={"stride": 20}),
    ]
    studies.run(variants[:2], SCALE, out, tmp_path, progress=False)
    table = studies.run(
        variants, replace(SCALE, seeds=2), out, tmp_path, progress=False, dask="elsewhere"
    )
    assert [(variant.setting, seed) for variant, seed in elsewhere] == [
        ("20", 0),
        ("10", 1),
        ("20", 1),
    ]
    assert len(list(tmp_path.glob("*/snapshot.npz"))) == 4
    assert len(trained) == 4  # what was known was not trained again, whatever its name
    assert table["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["epochs"].tolist() == [16 // 10, 16 // 10, 16 // 5] * 2
    more = [*variants, vary("time step", "4", samples={"stride": 4})]
    assert len(studies.run(more, SCALE, out, tmp_path, ["time step"], progress=False)) == 4
    kept = pd.read_csv(out)
    assert kept["seed"].tolist() == [0, 0, 0, 0, 1, 1, 1]  # of a second seed that is not asked for
    one = studies.run(variants, SCALE, tmp_path / "one.csv", tmp_path, ["batch size"], False)
    assert one["varied"].tolist() == ["batch size"]
    with pytest.raises(ValueError, match="nothing varies colour: choose from batch size, time"):
        studies.run(variants, SCALE, out, tmp_path, ["colour"], progress=False)
    errors = table["rollout MAE / MPa"]
    assert errors[0] == errors[1]
    assert errors.nunique() == 4
    kept = kept[kept["setting"] != 4]["rollout MAE / MPa"]
    assert kept.tolist() == pytest.approx(errors.tolist(), rel=1e-5)


@pytest.mark.parametrize(
    "variant", OPEN_CHOICES + ABLATION, ids=lambda v: f"{v.varied}-{v.setting}"
)
def test_every_variant_names_what_its_network_takes(variant):
    if variant.bounds == "table 3":
        models.NETWORKS[variant.network](**{"filters": 2, **variant.options})


def test_an_ablation_changes_one_thing():
    whole, *others = [
        studies._settings(variant, SCALE, 0)
        for variant in ABLATION
        if variant.network == "res_unet"
    ]
    assert len(others) == 5
    for settings in others:
        assert settings != whole
        changed = [key for key in settings if settings[key] != whole[key]]
        assert len(changed) == 1


def test_runs_that_were_measured_are_known_by_todays_names():
    rows = pd.read_csv(RESULTS / "open_choices.csv")
    names = {
        studies._run_name(variant, Scale(1000, paper.FILTERS, 160_000), seed=0)
        for variant in OPEN_CHOICES
    }
    assert names == set(rows.loc[rows["seed"] == 0, "run"])


@pytest.mark.parametrize("name", STUDIES)
def test_the_command_of_a_study_trains_its_variants_and_shows_its_table(name, monkeypatch, capsys):
    asked = []

    def run(variants, scale, out, *_, **__):
        asked.extend([variants, scale, out])
        rows = RESULTS / out.name  # those of another study, where this one was not run
        return pd.read_csv(rows if rows.is_file() else RESULTS / "learned_correction.csv")

    monkeypatch.setattr(studies, "run", run)
    study._command(name, STUDIES[name])()
    assert asked == [STUDIES[name].variants, STUDIES[name].scale, Path("results", f"{name}.csv")]
    assert ("| left out | instead |" in capsys.readouterr().out) == (name == "ablation")
