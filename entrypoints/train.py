"""Train one trial of a recipe."""

from easiness import train
from easiness.commandline import command

if __name__ == "__main__":
    command(train)
