"""Measure speed beside what a user would otherwise write."""

from easiness.benchmarks.run import bench
from easiness.commandline import command

if __name__ == "__main__":
    command(bench)
