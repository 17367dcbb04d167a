"""Refusals of single options, as a caller from Python meets them: always a ValueError or an OSError, of one line."""

import os
from pathlib import Path

import numpy as np
import pytest

import easiness
from easiness.runs.checks import existing, typed


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (np.int64(3), int | None),
        (None, int | None),
        (3, float),
        (np.float32(0.5), float),
        (True, bool),
        (np.True_, bool),
        ("x", str | Path | None),
        (Path("x"), str | Path),
        ((1, 2), tuple[int, ...]),
        ((), tuple[str, ...] | None),
    ],
)
def test_values_of_their_type(value, annotation):
    typed("x", value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("3", int, "a whole number"),
        (3.0, int | None, "a whole number"),
        (True, int, "a whole number"),
        (None, int, "a whole number"),
        (float("inf"), float, "a finite number"),
        (True, float, "a finite number"),
        (1, bool, "true or false"),
        ("a\0b", str, "text"),
        (7, str | Path | None, "text or a path"),
        ((1, "x"), tuple[int, ...], "a whole number"),
    ],
)
def test_values_of_another_type(value, annotation, words):
    with pytest.raises(ValueError, match=f"^x is .*, and must be {words}$"):
        typed("x", value, annotation)


def test_a_path_is_absolute_and_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").touch()
    os.mkfifo("pipe.csv")
    Path("broken").symlink_to("nowhere")
    assert existing("keep", "a.csv", (".csv",)) == tmp_path / "a.csv"
    assert existing("data", tmp_path) == tmp_path
    assert existing("data", None) is None
    for path, suffixes in (("pipe.csv", ()), ("pipe.csv", (".csv",)), ("broken", ()), ("a.csv", (".npy",))):
        with pytest.raises(ValueError, match=f"^data is {tmp_path / path}, and "):
            existing("data", path, suffixes)
    with pytest.raises(FileNotFoundError, match="and there is no such file or folder"):
        existing("data", "none")


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (easiness.score, {"epochs": "three"}, "epochs is 'three', and must be a whole number"),
        (easiness.score, {"trials": 2.5}, "trials is 2.5, and must be a whole number"),
        (easiness.score, {"score_at": ["x"]}, "score_at is .*, and must be a whole number"),
        (easiness.ablate, {"ratios": None}, "ratios is None, and must be a finite number"),
        (easiness.match, {"runs": [3]}, "runs is .*, and must be text"),
        (easiness.report, {"folder": 3}, "folder is 3, and must be text or a path"),
        (easiness.prepare, {"source": ".", "output": "x", "workers": True}, "workers is True, and must be a whole"),
    ],
)
def test_python_gets_a_value_error(call, options, message):
    with pytest.raises(ValueError, match=message):
        call(**options)
