"""First measurements on a machine with a GPU: checks and speeds, in some ten minutes, as one json.

A part that fails is named with its error, and the others go on. Where a plain loop stands beside a figure, it trains
the same network in the same precision. Without a GPU, --small shows that every part runs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from easiness.benchmarks.first_gpu import checks, photos, speed
from easiness.benchmarks.first_gpu.size import Size, small
from easiness.benchmarks.guard import guarded
from easiness.runs.options import DEVICES
from easiness.runs.setup import choose_device

# In the order of their worth, with the seconds that each may take.
PARTS: dict[str, tuple[Callable[[Size], dict[str, object]], float]] = {
    "machine": (speed.machine, 60),
    "equality": (checks.equality, 90),
    "steps": (speed.steps, 60),
    "scoring": (speed.scoring, 150),
    "resume": (checks.resume, 90),
    "photo_steps": (speed.photo_steps, 90),
    "photos": (photos.photos, 120),
    "several_trials": (checks.several_trials, 90),
    "deep_steps": (speed.deep_steps, 60),
    "deep_scoring": (speed.deep_scoring, 180),
}


def measure(size: Size, out: Path, *, parts: Sequence[str] = tuple(PARTS), minutes: float = 10.0) -> bool:
    """Measure parts one after another, and write what is known after each; whether all ran, and all checks hold."""
    ends = time.monotonic() + 60 * minutes
    outcomes: dict[str, dict[str, object]] = {}
    for name in parts:
        part, limit = PARTS[name]
        left = ends - time.monotonic()
        outcomes[name] = guarded(part, (size,), min(limit, left)) if left > 0 else {"error": "no time was left"}
        said = outcomes[name].get("error", "done")
        if not outcomes[name].get("result", {}).get("holds", True):
            said = "DOES NOT HOLD"
        print(f"{name:<16}{outcomes[name].get('seconds', 0):6.0f} s  {said}", file=sys.stderr, flush=True)
        out.write_text(json.dumps({"size": vars(size), "parts": outcomes}, indent=1, default=str) + "\n")
    return all(outcome.get("result", {"holds": False}).get("holds", True) for outcome in outcomes.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for; exit status 1 where a part failed or a check does not hold."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.first_gpu", description=__doc__)
    parser.add_argument("--data", type=Path, help="archive of CIFAR-10; drawn pixels if not given")
    parser.add_argument("--out", type=Path, default=Path("first_gpu.json"), help="file to write")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--small", action="store_true", help="the least size of everything")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts; those that are left over are named")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=tuple(PARTS), help="all if not given")
    options = parser.parse_args(arguments)
    device = choose_device(options.device).type
    size = small(device) if options.small else Size(device)
    if options.data is not None:
        size = replace(size, data=options.data.absolute())
    sys.exit(not measure(size, options.out, parts=options.parts, minutes=options.minutes))


if __name__ == "__main__":
    main()
