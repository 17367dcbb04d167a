"""Coverage of the estimate of wrong labels, where the truth is known: `python -m easiness.benchmarks.label_errors`.

Suspicions are drawn: of wrong labels and of flips normal around 0, of right labels as in `WORLDS`.
"""

import argparse
from collections.abc import Callable

import numpy as np

from easiness.analysis.label_errors import wrong_labels

Draw = Callable[[np.random.Generator, int], np.ndarray]


def _normal(mean: float, spread: float = 1.0) -> Draw:
    return lambda rng, count: rng.normal(mean, spread, count)


def _with_minority(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(np.where(rng.random(count) < 0.1, -1, -3), 1)


WORLDS = {
    "easily told apart (area .99)": _normal(-3.5),
    "well told apart (area .96)": _normal(-2.5),
    "told apart (area .86)": _normal(-1.5),
    "hardly told apart (area .64)": _normal(-0.5),
    "a tenth is hard and right": _with_minority,
    "some right ones above all flips": _normal(-2.5, 1.5),
}
# Where the assumption does not hold: mean suspicion of wrong labels, beside that of flips, which is 0.
HARDER = -1.0

SIZES = {"2,000 and 100": (2_000, 100), "10,000 and 500": (10_000, 500)}
WRONG = (0.0, 0.05, 0.15)


def cover(
    draw: Draw, size: tuple[int, int], wrong: float, repeats: int, seed: int, mean_of_wrong: float = 0.0
) -> dict[str, float]:
    """Mean share, low and high over the repeats, and how often the truth is above `low` and below `high`."""
    rng = np.random.default_rng(seed)
    (examples, flips), rows = size, []
    for repeat in range(repeats):
        count = int(rng.binomial(examples - flips, wrong))
        rest = rng.normal(mean_of_wrong, 1, count), draw(rng, examples - flips - count)
        suspicion_N = np.concatenate([rng.normal(size=flips), *rest])
        found = wrong_labels(suspicion_N, np.arange(examples) < flips, seed=repeat)
        truth = count / (examples - flips)
        rows.append((found.share, found.low, found.high, found.low <= truth, truth <= found.high))
    return dict(zip(("share", "low", "high", "low_holds", "high_holds"), np.mean(rows, axis=0), strict=True))


def main() -> None:
    """Print a table of all worlds, sizes and shares of wrong labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| right labels | images and flips | wrong | share [low, high], means | low holds | high holds |")
    print("|---|---|---|---|---|---|")
    harder = {"well told apart, but wrong ones are harder to find than flips": (_normal(-2.5), HARDER)}
    for world, (draw, mean_of_wrong) in ({world: (draw, 0.0) for world, draw in WORLDS.items()} | harder).items():
        for name, size in SIZES.items():
            for wrong in WRONG:
                row = cover(draw, size, wrong, options.repeats, options.seed, mean_of_wrong)
                said = f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
                print(
                    f"| {world} | {name} | {wrong:.0%} | {said} | {row['low_holds']:.1%} | {row['high_holds']:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
