"""Manifests: the same text again after reading, and refusals that name the run, the file and the field."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from easiness.tracking import ScoreManifest, to_json
from tests.tiny_scores import score_manifest


def test_a_manifest_is_read_and_written_to_the_letter():
    written = json.dumps(score_manifest(), indent=1) + "\n"
    manifest = ScoreManifest.from_json(written, "r")
    assert manifest.to_json() == written
    assert (manifest.updates, manifest.class_names) == ((4, 8), ("sun", "moon"))
    assert replace(manifest, trials=({"trial": 0, "run_id": "t"},)).trial_runs == ["t"]


def test_what_is_the_same_for_every_run_need_not_be_said():
    content = score_manifest()
    said = {name: content[name] for name in content if name not in ("schema", "checksums", "polarity", "order")}
    assert ScoreManifest(**said).to_json() == json.dumps(content, indent=1) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "scores/manifest.json of run r is not json: "),
        ("[]", "scores/manifest.json of run r has schema None, and this version reads 1"),
        (json.dumps(score_manifest(schema=7)), "has schema 7, and this version reads 1"),
        (json.dumps(score_manifest(mood="good")), "scores/manifest.json of run r has unknown mood; make the run again"),
        ('{"schema": 1, "mood": 0}', "of run r lacks checksums, run_id, polarity, .*, code and has unknown mood"),
    ],
)
def test_other_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        ScoreManifest.from_json(text, "r")


def test_json_holds_no_number_that_it_does_not_know():
    value = {"a": [np.float32(1.5), math.inf], "b": np.array([[1, 2]]), "c": (math.nan, None, "x", np.int64(3))}
    assert json.loads(to_json(value)) == {
        "a": [1.5, None], "b": [[1, 2]], "c": [None, None, "x", 3]
    }  # fmt: skip
