"""Remove easy, hard or random examples, train again, and compare."""

from easiness import ablate
from easiness.commandline import command

if __name__ == "__main__":
    command(ablate)
