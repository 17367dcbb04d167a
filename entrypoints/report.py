"""Make a page of finished score, match and ablate runs."""

from easiness import report
from easiness.commandline import command

if __name__ == "__main__":
    command(report)
