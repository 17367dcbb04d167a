"""Blocks per stage of a network of a given depth."""


def blocks_per_stage(family: str, depth: int, *, layers: int, outside: int) -> int:
    """N of ``depth = layers × n + outside``; a ValueError names the nearest possible depths.

    The depth is counted as in the family's paper (wide residual networks count shortcut convolutions, too).

    Examples
    --------
    >>> blocks_per_stage("wide_resnet", 16, layers=6, outside=4)
    2
    >>> blocks_per_stage("wide_resnet", 18, layers=6, outside=4)
    Traceback (most recent call last):
    ValueError: wide_resnet has no depth 18: its depth is 6n+4, the nearest are 16 and 22
    """
    blocks, rest = divmod(depth - outside, layers)
    if rest == 0 and blocks >= 1:
        return blocks
    near = [layers * n + outside for n in (blocks, blocks + 1) if n >= 1] or [layers + outside]
    nearest = f"nearest are {near[0]} and {near[1]}" if len(near) == 2 else f"smallest is {near[0]}"
    raise ValueError(f"{family} has no depth {depth}: its depth is {layers}n+{outside}, the {nearest}")
