"""Match the easy and hard examples of score runs."""

from easiness import match
from easiness.commandline import command

if __name__ == "__main__":
    command(match)
