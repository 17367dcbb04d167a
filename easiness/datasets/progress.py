"""Progress bar of long work on data, where progress is asked for."""

import logging

from tqdm import tqdm


def progress_bar(desc: str, total: int | None, unit: str) -> tqdm:
    """Bar in a terminal, while the `easiness` logger shows messages; else none."""
    asked = logging.getLogger("easiness").isEnabledFor(logging.INFO)
    return tqdm(desc=desc, total=total, unit=unit, unit_scale=unit == "B", disable=None if asked else True)
