import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from easiness.commandline import caller_path, command, options_of, parse_options

ROOT = Path(__file__).resolve().parents[1]


def entry(
    model: str = "alexnet",
    epochs: int | None = None,
    rate: float | None = None,
    data: str | None = None,
    skip: bool = False,
    score_at: tuple[int, ...] = (),
    moment: int | None = None,
    fraction: float = 0.1,
    names: tuple[str, ...] = (),
    shares: tuple[float, ...] | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    verbose: bool = False,
) -> None:
    """Do nothing."""


def parsed(**words):
    return parse_options(entry, words)


def one(name, text):
    return parsed(**{name: text})[name]


STOPPED = """
import os, signal, time
from easiness.commandline import command

def program() -> None:
    "Be asked to stop."
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print("closed")

command(program)
"""


def test_a_program_that_is_asked_to_stop_closes_what_it_has_open():
    done = subprocess.run([sys.executable, "-c", STOPPED], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "closed\n"
    assert done.stderr.startswith("stopped; finished epochs are kept")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "3", 3),
        ("seed", "-3", -3),
        ("seed", "1e3", 1000),
        ("seed", "4.0", 4),
        ("seed", "9007199254740993", 2**53 + 1),
        ("moment", "391", 391),
        ("moment", "auto", None),
        ("moment", "", None),
        ("moment", "None", None),
        ("fraction", "0.25", 0.25),
        ("fraction", "1e-3", 0.001),
        ("fraction", "1", 1.0),
        ("epochs", "5", 5),
        ("epochs", "auto", None),
        ("rate", ".1", 0.1),
        ("rate", "auto", None),
        ("model", "resnet18", "resnet18"),
        ("model", "1e3", "1e3"),
        ("model", "None", "None"),
        ("model", "my.package:build", "my.package:build"),
        ("data", "", None),
        ("data", "a,b", "a,b"),
        ("data", "(x)", "(x)"),
        ("skip", "true", True),
        ("skip", "False", False),
        ("skip", "1", True),
        ("skip", "no", False),
        ("score_at", "", ()),
        ("score_at", "auto", ()),
        ("score_at", "None", ()),
        ("score_at", "5", (5,)),
        ("score_at", "0,5,10", (0, 5, 10)),
        ("score_at", "5,", (5,)),
        ("score_at", "(5, 10)", (5, 10)),
        ("score_at", "[5,10]", (5, 10)),
        ("names", "easy,hard", ("easy", "hard")),
        ("shares", "0.1,1", (0.1, 1.0)),
        ("shares", "auto", None),
    ],
)
def test_text_becomes_a_value_of_the_annotated_type(name, text, value):
    read = one(name, text)
    assert read == value
    assert type(read) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in read] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("seed", "three", "seed is 'three', and must be a whole number"),
        ("seed", "1.5", "seed is '1.5', and must be a whole number"),
        ("seed", "inf", "seed is 'inf', and must be a whole number"),
        ("seed", "nan", "seed is 'nan', and must be a whole number"),
        ("seed", "", "seed is '', and must be a whole number"),
        ("seed", "auto", "seed is 'auto', and must be a whole number"),
        ("seed", "True", "seed is 'True', and must be a whole number"),
        ("fraction", "10%", "fraction is '10%', and must be a number"),
        ("fraction", "0,1", "fraction is '0,1', and must be a number"),
        ("skip", "maybe", "skip is 'maybe', and must be true or false"),
        ("score_at", "5,x", "score_at is 'x', and must be a whole number"),
        ("score_at", "5,,6", "score_at is '', and must be a whole number"),
        ("shares", "1;2", "shares is '1;2', and must be a number"),
    ],
)
def test_bad_value_is_named_with_its_type(name, text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        one(name, text)


def test_verbose_is_not_an_option():
    assert list(options_of(entry))[-2:] == ["folder", "seed"]
    with pytest.raises(ValueError, match="unknown parameter 'verbose'"):
        parsed(verbose="true")


def test_unknown_option_names_the_near_matches_or_all():
    with pytest.raises(ValueError, match="^unknown parameter 'epoch'; did you mean epochs") as caught:
        parsed(epoch="3")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="^unknown parameter 'xyzzy'; known are model, epochs, .*, seed$"):
        parsed(xyzzy="3")


def test_path_is_the_callers_and_home_is_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("EASINESS_CALLED_FROM", "/where/i/was")
    assert caller_path("images") == Path("/where/i/was/images")
    assert caller_path("/images") == Path("/images")
    assert caller_path("~/images") == Path("/home/somebody/images")
    monkeypatch.delenv("EASINESS_CALLED_FROM")
    assert caller_path("images") == Path("images").absolute()
    assert caller_path("~/images") == Path("/home/somebody/images")


def test_a_path_arrives_absolute(monkeypatch):
    monkeypatch.setenv("EASINESS_CALLED_FROM", "/where/i/was")
    assert one("folder", "a b") == Path("/where/i/was/a b")
    assert one("folder", "") is None


class OwnError(Exception):
    pass


def program(fail: str = "", data: str | None = None, number: int = 0, score_at: tuple[int, ...] = ()) -> None:
    """Say what was read, or fail."""
    warnings.warn("attention", stacklevel=1)
    if fail == "value":
        raise ValueError("first line\n   second line")
    if fail == "own":
        raise OwnError("of mine")
    if fail == "key":
        raise KeyError("gone")
    if fail == "file":
        Path("/no/such/file").read_text()
    if fail == "silent":
        raise ValueError
    if fail == "full":
        raise OSError(28, "could not write x; is the disk full?")
    if fail == "interrupt":
        raise KeyboardInterrupt
    print([data, number, score_at])


def call(*words):
    """In a process of its own, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", "from tests.test_commandline import *; command(program)", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )


@pytest.fixture
def call_here(monkeypatch, capsys):
    """The same in this process, which is faster: status, standard output, standard error."""

    def call_here(*words):
        monkeypatch.setattr(sys, "argv", ["program", *words])
        status = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                command(program)
            except SystemExit as end:
                status = end.code
        return status, *capsys.readouterr()

    return call_here


@pytest.mark.parametrize("data", ["2019#1", "a,b", "1e3", "0x10", "1_000", "True", "a=b", "{x: 1}", "'a'", "ä b"])
def test_words_arrive_as_typed(call_here, data):
    done = call_here(f"--data={data}", "--number=12", "--score-at=1,2")
    assert done == (0, f"{[data, 12, (1, 2)]}\n", "")


def test_words_of_mlflow_with_empty_values_are_fine(call_here):
    assert call_here("--fail=", "--data=", "--score_at=", "--debug=false") == (0, "[None, 0, ()]\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--fail=value"], "error: first line second line"),
        (["--fail=own"], "error: OwnError: of mine (debug=true shows where)"),
        (["--fail=key"], "error: KeyError: 'gone' (debug=true shows where)"),
        (["--fail=file"], "error: No such file or directory: /no/such/file"),
        (["--fail=silent"], "error: no message"),
        (["--fail=full"], "error: could not write x; is the disk full?"),
        (["--numbr=3"], "error: unknown parameter 'numbr'; did you mean number?"),
        (["--number=x"], "error: number is 'x', and must be a whole number"),
        (["resnet18"], "error: unexpected argument 'resnet18'; use name=value"),
        (["--number"], "error: number is given without a value; use --number=value"),
        (["--data"], "error: data is given without a value; use --data=value"),
        (["--nodata"], "error: unknown parameter 'nodata'; did you mean data?"),
        (["--number", "1", "-", "x"], "error: unexpected argument '-'; use name=value"),
        (["--", "--trace"], "error: unexpected argument '--'; use name=value"),
        (["--=x"], "error: unexpected argument '--=x'; use name=value"),
        (["--fail=\x1b[31m", "--data=a", "--numbr=\x1b"], "error: unknown parameter 'numbr'; did you mean number?"),
        (["--number=\x1b[31m"], r"error: number is '\x1b[31m', and must be a whole number"),
        (["--debug=perhaps"], "error: debug is 'perhaps', and must be true or false"),
        (["--debug", "false", "--fail=silent"], "error: no message"),
    ],
)
def test_failure_is_one_line_and_status_two(call_here, words, line):
    assert call_here(*words) == (2, "", line + "\n")


def test_process_that_fails_says_one_line_and_ends_with_status_two():
    done = call("--fail=value")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: first line second line\n")


@pytest.mark.parametrize("words", [["--debug=true"], ["--debug"], ["--debug", "True"], ["--debug=1"]])
def test_debug_adds_the_traceback(call_here, words):
    status, _, errors = call_here("--fail=own", *words)
    assert status == 2
    assert "Traceback (most recent call last)" in errors
    assert "in program" in errors
    assert errors.endswith("error: OwnError: of mine (debug=true shows where)\n")


def test_process_shows_warnings_with_debug_only():
    done = call("--debug=true")
    assert (done.returncode, done.stdout) == (0, "[None, 0, ()]\n")
    assert "UserWarning: attention" in done.stderr


def test_process_that_is_interrupted_says_how_to_go_on():
    done = call("--fail=interrupt")
    assert done.returncode == 1
    assert done.stderr == "stopped; finished epochs are kept, and the same command resumes there\n"


def test_a_program_that_is_interrupted_while_it_imports_ends_quietly(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for module in ("entrypoints.train", "easiness.runs.train"):
        program = subprocess.run(
            [sys.executable, "-m", module], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert (program.returncode, program.stdout, program.stderr) == (-signal.SIGINT, "", "")
