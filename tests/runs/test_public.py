import inspect
import logging
import typing
from dataclasses import dataclass
from pathlib import Path

import pytest

from easiness.runs.public import public


@dataclass(frozen=True)
class Options:
    """Options of a test.

    Attributes
    ----------
    model : str
        Network.
    ratios : tuple of float
        Shares.
    """

    model: str = "alexnet"
    ratios: tuple[float, ...] = (0.5,)


@public
def run(options: Options, trials: int | None = None, scores: tuple[str, ...] | None = None) -> tuple:
    """Do nothing.

    Parameters
    ----------
    options : Options
        What to do.
    trials : int, optional
        Number of trials.

    Returns
    -------
    tuple
        What came in.
    """
    logging.getLogger("easiness").info("one %s", "message")
    logging.getLogger("easiness").warning("look out")
    return options, trials, scores


def test_fields_are_keywords():
    assert run(model="resnet18", trials=3) == (Options("resnet18"), 3, None)
    assert run() == (Options(), None, None)


def test_signature_and_documentation_show_every_keyword():
    assert str(inspect.signature(run)) == (
        "(*, model: str = 'alexnet', ratios: tuple[float, ...] = (0.5,), trials: int | None = None, "
        "scores: tuple[str, ...] | None = None, verbose: bool = False) -> tuple"
    )
    lines = run.__doc__.splitlines()
    named = [line.split(" : ")[0] for line in lines if " : " in line]
    assert named == ["model", "ratios", "trials", "verbose"]
    assert lines[-3:] == ["-------", "tuple", "    What came in."]


@pytest.mark.parametrize("ratios", [[0.1, 0.3], (0.1, 0.3), iter([0.1, 0.3])])
def test_any_sequence_is_taken_for_a_tuple(ratios):
    assert run(ratios=ratios)[0].ratios == (0.1, 0.3)


def test_a_single_value_is_a_tuple_of_one():
    assert run(ratios=0.3, scores="abc") == (Options(ratios=(0.3,)), None, ("abc",))


def test_a_wrong_keyword_names_the_near_ones():
    with pytest.raises(TypeError, match=r"run\(\) has no keyword 'trial'; did you mean trials"):
        run(trial=3)


def test_messages_come_only_when_asked_for(capsys):
    run(verbose=True)
    assert capsys.readouterr().err == "one message\nwarning: look out\n"
    run()
    assert "one message" not in capsys.readouterr().err
    assert logging.getLogger("easiness").handlers == []


def test_a_call_in_a_call_says_things_once(capsys):
    @public
    def outer() -> None:
        """Call twice."""
        run(verbose=True)
        run()

    outer(verbose=True)
    assert capsys.readouterr().err.count("one message\n") == 2


def test_the_calls_of_the_door_take_paths_as_text_or_path():
    import easiness

    for call in (easiness.score, easiness.train, easiness.ablate, easiness.match):
        assert {str, Path} < set(typing.get_args(inspect.signature(call).parameters["data"].annotation))
