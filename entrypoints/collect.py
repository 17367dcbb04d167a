"""Make a score run of trials that are there already."""

from easiness import collect
from easiness.commandline import command

if __name__ == "__main__":
    command(collect)
