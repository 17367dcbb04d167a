"""`mlflow run .` as run.sh starts it: the store is there, a signal stops the program, an error is one line."""

import os
import signal
import sys
import tempfile
import traceback
from types import FrameType

import click
from mlflow.cli import cli

from easiness.files import own_folder, work_folder
from easiness.machine import STOP_SIGNALS
from easiness.tracking.errors import TrackingError, in_one_line
from easiness.tracking.opening import close_project_run, start_project_run
from easiness.tracking.server import client, hand_on_password


def main(arguments: list[str]) -> None:
    """Run an entry point of the project in the current folder, with the arguments of `mlflow run`."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    # By this the program knows when this process is gone, even by SIGKILL.
    os.environ["EASINESS_LAUNCHER"] = str(os.getpid())
    try:
        with in_one_line(), own_folder(work_folder(), "tmp") as folder:
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
            hand_on_password()
            client()
            _run(arguments)
    except TrackingError as error:
        steps = [step.name for step in traceback.extract_tb((error.__cause__ or error).__traceback__)]
        # Where the store does not even take the end of a run, the program has said why, and that is the last line.
        sys.exit(1 if "_maybe_set_run_terminated" in steps else f"error: {error}")


def _run(arguments: list[str]) -> None:
    words, run_id = [".", "--env-manager=local", *arguments], None
    try:
        with cli.commands["run"].make_context("mlflow run", list(words)) as context:
            asked = context.params
        # In a run of MLflow's own making, every parameter would stand twice: as it was typed, most of them `auto`, and
        # settled.
        if not asked["run_id"]:
            run_id = start_project_run(asked["entry_point"], asked["experiment_name"], asked["experiment_id"])
            words += ["--run-id", run_id]
        cli.main(["run", *words], prog_name="mlflow", standalone_mode=False)
        run_id = None  # its program has ended it
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort as error:
        sys.exit(128 + error.__cause__.args[0])
    finally:
        if run_id is not None:
            close_project_run(run_id)


def _stop(number: int, frame: FrameType | None) -> None:
    """Have MLflow end the program by SIGTERM and wait for it: it needs seconds to close its runs."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    while frame is not None and frame.f_code.co_name != "_wait_for":
        frame = frame.f_back
    if frame is None:  # there is no program yet, and what MLflow writes now may be left at any point
        os._exit(128 + number)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    main(sys.argv[1:])
