import pandas as pd

from repro import assumptions, generation
from repro.assumptions import Scale, Variant


def test_study_trains_and_resumes_every_variant(data, tmp_path, monkeypatch):
    monkeypatch.setattr(generation.Job, "solve", lambda job, indices: data)
    scale = Scale(microstructures=6, filters=2, samples=16)
    variants = [Variant("batch size", 5, 8), Variant("time step", 10), Variant("time step", 5)]
    table = assumptions.study(tmp_path / "a.csv", tmp_path, scale, variants, progress=False)
    assert table["epochs"].tolist() == [16 // 20 or 1, 1, 1]
    assert (table["one-step MAE / MPa"] > 0).all()
    # The same settings are one run, whatever they are called.
    assert len(list(tmp_path.glob("*/snapshot.npz"))) == 2
    assert table["rollout MAE / MPa"][0] == table["rollout MAE / MPa"][2]
    again = assumptions.study(tmp_path / "a.csv", tmp_path, scale, variants, progress=False)
    same = ["one-step MAE / MPa", "rollout MAE / MPa", "epochs", "split_hash"]
    pd.testing.assert_frame_equal(again[same], table[same])
    assert len(pd.read_csv(tmp_path / "a.csv")) == 3
