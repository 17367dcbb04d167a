"""The whole in one command, on the embedded dataset: score two models, match, ablate a little, report."""

from easiness.commandline import command
from easiness.studies import main

if __name__ == "__main__":
    command(main)
