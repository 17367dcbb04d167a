"""`mlflow run .` as run.sh starts it: the store is there, a signal stops the program, an error is one line."""

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from types import FrameType

import click
from mlflow.cli import cli

from easiness.tracking.errors import TrackingError, in_one_line
from easiness.tracking.host import own_folder
from easiness.tracking.server import client, hand_on_password

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> None:
    """Run an entry point of the project in the current folder, with the arguments of `mlflow run`."""
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    # By this the program knows when this process is gone, even by SIGKILL.
    os.environ["EASINESS_LAUNCHER"] = str(os.getpid())
    try:
        with in_one_line(), own_folder(Path(".easiness").absolute(), "tmp") as folder:
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
            hand_on_password()
            client()
            _run(arguments)
    except TrackingError as error:
        steps = [step.name for step in traceback.extract_tb((error.__cause__ or error).__traceback__)]
        # Where the store does not even take the end of a run, the program has said why, and that is the last line.
        sys.exit(1 if "_maybe_set_run_terminated" in steps else f"error: {error}")


def _run(arguments: list[str]) -> None:
    try:
        cli.main(["run", ".", "--env-manager=local", *arguments], prog_name="mlflow", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as error:
        sys.exit(128 + error.__cause__.args[0])


def _stop(number: int, frame: FrameType | None) -> None:
    """Have MLflow end the program by SIGTERM and wait for it: it needs seconds to close its runs."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    while frame is not None and frame.f_code.co_name != "_wait_for":
        frame = frame.f_back
    if frame is None:  # there is no program yet, and what MLflow writes now may be left at any point
        os._exit(128 + number)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    main(sys.argv[1:])
