"""The console command: `easiness score model=resnet18 data=~/pictures`."""

import importlib
import signal
import sys
from importlib.metadata import version

from easiness.commandline import FAILURE, command, unknown

# Module and summary of each command, without its imports, which take seconds; those of MLproject.
COMMANDS = {
    "main": ("studies", "The whole on the embedded dataset: score two models, match, ablate a little, report."),
    "score": ("runs.score.run", "Score every training example of a dataset under one model."),
    "collect": (
        "runs.score.collecting",
        "Make a score run of recorded trials, or of those of other runs.",
    ),
    "match": ("runs.match.run", "Match the easy and hard examples of score runs."),
    "ablate": ("runs.ablate.run", "Remove easy, hard or random examples, train again, and compare."),
    "report": ("reporting.run", "Make a page of finished score, match and ablate runs."),
    "export": ("runs.score.exporting", "Export the scores of a run in the format of another program."),
    "train": ("runs.train", "Train one trial of a recipe."),
    "prepare": ("runs.prepare", "Pack a folder of images for dataset=imagenet."),
    "paper": ("studies", "All runs behind the paper, at a chosen scale."),
    "bench": ("benchmarks.run", "Measure speed beside what a user would otherwise write."),
}

_USAGE = """Which training images are easy for a network, which are hard, and what are they worth?

    easiness COMMAND name=value ...     for example: easiness score model=resnet18 data=~/pictures
    easiness COMMAND --help             what it does, and its parameters

{commands}

Runs are logged to MLFLOW_TRACKING_URI, without it to mlflow.db in the current folder; `mlflow ui` shows them."""


def main() -> None:
    """Run one command with the words behind it."""
    # Until the command has its own way to stop: Ctrl-C ends an import quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        print(_USAGE.format(commands="\n".join(f"  {key:<{width}}  {line}" for key, (_, line) in COMMANDS.items())))
        return
    if name == "--version":
        print(version("easiness"))
        return
    if name not in COMMANDS:
        print(f"error: {unknown('command', name, tuple(COMMANDS))}", file=sys.stderr)
        sys.exit(FAILURE)
    module, _ = COMMANDS[name]
    command(getattr(importlib.import_module(f"easiness.{module}"), name), words)


if __name__ == "__main__":
    main()
