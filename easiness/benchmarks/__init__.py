"""What the README claims of speed, measured: each room times one thing beside what a user would otherwise write."""

from easiness.benchmarks.loaders import bench_loaders
from easiness.benchmarks.matching import bench_matching

__all__ = ["bench_loaders", "bench_matching"]
