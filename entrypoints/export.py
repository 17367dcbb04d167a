"""Export the scores of a run in the format of another program."""

from easiness.commandline import command
from easiness.runs.score.exporting import export

if __name__ == "__main__":
    command(export)
