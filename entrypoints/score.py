"""Score every training example of a dataset under one model."""

from easiness import score
from easiness.commandline import command

if __name__ == "__main__":
    command(score)
