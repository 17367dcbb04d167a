"""All runs behind the paper, at a chosen scale."""

from easiness.commandline import command
from easiness.studies import paper

if __name__ == "__main__":
    command(paper)
