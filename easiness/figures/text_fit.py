"""Text measured, broken into lines that fit, and free of characters that the font cannot draw."""

import bisect
import functools
import hashlib
import re

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

FONT = "DejaVu Sans"  # comes with matplotlib, so every machine draws the same

# Bytes: two such names and what stands between them fit in the 255 bytes of a file's name.
_LONGEST_NAME = 100


@functools.lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def drawable(text: str) -> str:
    """Replace characters that the font cannot draw by their code points, so that two class names stay two names.

    >>> drawable("chat 猫")
    'chat U+732B'
    """
    return "".join(
        char if char == "\n" or (char.isprintable() and ord(char) in _drawable()) else f"U+{ord(char):04X}"
        for char in text
    )


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width in inches of one line of text set in `size` points."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def fit(text: str, width: float, size: float, *, lines: int, weight: str = "normal") -> str:
    r"""Break text into at most `lines` lines of at most `width` inches; what is left out shows as "…".

    >>> fit("lower is easier", 0.6, 9, lines=2)
    'lower is\neasier'
    >>> fit("Siberian husky", 0.6, 9, lines=1)
    'Siberia…'
    """
    broken: list[str] = []
    for paragraph in drawable(text).split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if text_width(joined, size, weight) <= width:
                line = joined
                continue
            if line and lines > 1:
                broken.append(line)
                line = word
            else:
                line = joined
            while lines > 1 and text_width(line, size, weight) > width and len(line) > 1:
                cut = _longest(line, width, size, weight)
                broken.append(line[:cut])
                line = line[cut:]
        broken.append(line)
    kept = broken[:lines]
    if len(broken) > lines or text_width(kept[-1], size, weight) > width:
        room = width - text_width("…", size, weight)
        kept[-1] = kept[-1][: _longest(kept[-1], room, size, weight)].rstrip() + "…"
    return "\n".join(kept)


def file_name(name: str) -> str:
    """File name, or part of one, for any name: letters, digits, `_`, `.` and `-`, at most 100 bytes, never a folder.

    Where more than spaces, commas, colons or brackets had to go, a digest keeps two names two files.

    >>> file_name("tests.tiny_model:build (0123abcd)")
    'tests.tiny_model_build_0123abcd'
    >>> file_name("../../x"), file_name("a/b"), file_name("a b")
    ('x_9cdf6a50', 'a_b_c14cddc0', 'a_b')
    """
    safe = re.sub(r"[^\w.-]+", "_", name).strip("_.-")
    if safe and safe == re.sub(r"[ ,:()]+", "_", name).strip("_") and len(safe.encode()) <= _LONGEST_NAME:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe.encode()[: _LONGEST_NAME - 9].decode(errors='ignore')}_{digest}".lstrip("_")


def _longest(text: str, width: float, size: float, weight: str) -> int:
    """How many of the first characters fit; at least one."""
    cuts = range(1, len(text) + 1)
    return max(1, bisect.bisect_right(cuts, width, key=lambda cut: text_width(text[:cut], size, weight)))
