"""What the README claims of speed, measured: each room times one thing beside what a user would otherwise write."""

from easiness.benchmarks.loaders import bench_loaders
from easiness.benchmarks.machine import bench_machine
from easiness.benchmarks.matching import bench_matching
from easiness.benchmarks.scaling import bench_scaling, noise
from easiness.benchmarks.score import bench_score
from easiness.benchmarks.step import bench_step

__all__ = [
    "bench_loaders",
    "bench_machine",
    "bench_matching",
    "bench_scaling",
    "bench_score",
    "bench_step",
    "noise",
]
