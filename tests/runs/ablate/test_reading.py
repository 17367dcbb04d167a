"""Ablations read back from a store."""

import pytest

from easiness.runs.ablate.reading import read_ablation
from tests.tiny_reports import log_ablation
from tests.tiny_scores import draw_losses, log_score_run, tiny_planted


def test_an_ablation_comes_back_and_says_what_it_found(store, tmp_path):
    dataset = tiny_planted(50)
    scores = log_score_run(tmp_path, dataset, draw_losses(dataset, 0))
    ablation = read_ablation(log_ablation(tmp_path, dataset, "net", scores))
    assert set(ablation.tables) == {"accuracy", "removed"}
    assert set(ablation.hashes) == {"ablation.json", "accuracy.csv", "removed.csv"}
    assert ablation.title == "net, inverse weights"
    means = ablation.mean_accuracy()
    assert list(means) == ["ratio", "none", "easy", "hard", "random", "stepwise"]
    assert means["ratio"].tolist() == [0.0, 0.3, 0.7]
    text = ablation.summary()
    assert f"{100 * means['easy'][2]:.1f}" in text
    assert ablation.manifest.summary[0] in text
    assert ablation.run_id in text
    assert ablation.manifest.summary[0] in ablation._repr_html_()
    with pytest.raises(ValueError, match=f"run {scores} is of kind 'score'; give a run of kind 'ablate'"):
        read_ablation(scores)
