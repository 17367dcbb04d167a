"""First measurements on a GPU run on a CPU, too, in their small form; what fails is named, and the others go on."""

import json

import pytest

from easiness.benchmarks.first_gpu import __main__ as first_gpu
from easiness.benchmarks.guard import guarded
from easiness.loaders.ffcv import why_no_ffcv
from tests.benchmarks import guarded_parts


@pytest.mark.parametrize(
    ("part", "limit", "outcome"),
    [
        (guarded_parts.work, 60, {"result": {"twice": 42}}),
        (guarded_parts.fail, 60, {"error": "ValueError: 21 is too much"}),
        (guarded_parts.die, 60, {"error": "its process died, exit status 3"}),
        (guarded_parts.hang, 0.1, {"error": "not done after 0 seconds"}),
    ],
)
def test_a_part_cannot_harm_who_asks_for_it(part, limit, outcome):
    got = guarded(part, (21,), limit)
    assert got.pop("seconds") > 0
    assert ("in fail" in got.pop("traceback", "")) == (part is guarded_parts.fail)
    assert got == outcome


def test_what_fails_is_written_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    names = ("fail", "die", "work", "check")
    monkeypatch.setattr(first_gpu, "PARTS", {name: (getattr(guarded_parts, name), 60) for name in names})
    monkeypatch.setattr(first_gpu, "guarded", lambda part, arguments, limit: guarded(part, (21,), limit))
    size, out = first_gpu.small("cpu"), tmp_path / "first.json"
    assert not first_gpu.measure(size, out, parts=names)
    parts = json.loads(out.read_text())["parts"]
    assert {name: parts[name].get("error") for name in names} == {
        "fail": "ValueError: 21 is too much",
        "die": "its process died, exit status 3",
        "work": None,
        "check": None,
    }
    assert parts["work"]["result"] == {"twice": 42}
    assert "DOES NOT HOLD" in capsys.readouterr().err
    assert first_gpu.measure(size, out, parts=["work"])
    assert not first_gpu.measure(size, out, parts=["work"], minutes=0)
    assert json.loads(out.read_text())["parts"] == {"work": {"error": "no time was left"}}


def measured(tmp_path, *words):
    out = tmp_path / "first.json"
    with pytest.raises(SystemExit) as ended:
        first_gpu.main(["--device=cpu", "--small", f"--out={out}", *words])
    report = json.loads(out.read_text())
    parts = report["parts"]
    assert ended.value.code == 0, {name: part.get("traceback") for name, part in parts.items()}
    assert report["size"]["device"] == "cpu"
    return {name: part["result"] for name, part in parts.items()}


def test_steps_are_compared_with_eager_ones_in_a_process_of_their_own(tmp_path):
    (compared,) = measured(tmp_path, "--parts", "equality").values()
    for way in ("captured", "captured again"):
        assert compared["float32"][way]["same_bits"], "a CPU has no graphs, and eager steps are the same each time"
    assert compared["holds"]


@pytest.mark.slow
def test_the_whole_of_it_in_its_small_form(tmp_path):
    found = measured(tmp_path, "--minutes=30")
    assert list(found) == list(first_gpu.PARTS)
    assert found["machine"]["sgemm_gflops"]["median"] > 0
    assert found["resume"]["same_bits"]
    assert found["resume"]["images_not_repeated"] > 0
    assert list(found["several_trials"]["seconds_by_trials_side_by_side"]) == ["1", "2", "4"]
    for name in ("scoring", "deep_scoring"):
        assert set(found[name]["seconds"]) == {"bare, cold", "bare", "whole"}
        assert set(found[name]["plain_seconds_of_one_trial"]) == {"resident", "loaders"}
        assert found[name]["share_of_matmul"] > 0
    for name in ("steps", "deep_steps", "photo_steps"):
        assert "plain loop" in found[name]["train"]
    loaders = ["plain loop", "torchvision", *["ffcv"] * (not why_no_ffcv())]
    assert all(found["photos"][name]["trained"] > 0 for name in loaders)
