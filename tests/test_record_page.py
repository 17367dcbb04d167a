"""The loop of docs/record.md, as a reader would run it."""

import re
from pathlib import Path

import numpy as np
import pytest

import easiness
from easiness import tracking

PAGE = Path(__file__).resolve().parents[1] / "docs" / "record.md"
OPTIONS = {"model": "wide_resnet_10_1", "limit": 500, "epochs": 2, "resolution": 32}


def the_loop():
    _, section = PAGE.read_text().split("## A loop, whole\n")
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_loop_has_the_losses_of_score_and_match_joins_both(store):
    loop, variables = the_loop(), {}
    assert len([line for line in loop.splitlines() if line]) <= 45
    exec(compile(loop, str(PAGE), "exec"), variables)
    trial = variables["recorder"].run_id
    scored = easiness.score(**OPTIONS, limit_val=20, trials=2, engine="inline", log_models="none")
    assert variables["recorder"].fingerprint == scored.manifest.fingerprint
    updates = scored.manifest.updates
    for measure in ("losses", "el2n", "margin"):
        found = tracking.read_trials([trial], measure, updates, scored.manifest.fingerprint)
        np.testing.assert_allclose(found[:, 0], scored.measure(measure)[:, 0], rtol=0, atol=1e-5, err_msg=measure)
    with pytest.raises(ValueError, match="they are one training; give each once"):
        easiness.collect(runs=[trial, scored.manifest.trial_runs[0]], model="both", name="planted")
    collected = easiness.collect(runs=[trial])
    assert collected.per_epoch == scored.per_epoch == 16
    matched = easiness.match(runs=[scored.run_id, collected.run_id], draws=10)
    assert set(matched.pairs["a"]) | set(matched.pairs["b"]) == {"plain loop", "wide_resnet_10_1"}
    assert len([sentence for sentence in matched.sentences if "plain loop were recorded" in sentence]) == 1
