"""What a page is made of: text, tables, charts, pictures, verdicts and a gallery, in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from easiness.figures import Figure
from easiness.reporting.claims import Verdict
from easiness.reporting.gallery import Section


@dataclass(frozen=True)
class Heading:
    """Begins a chapter (level 2) or a section (level 3)."""

    text: str
    level: int = 3


@dataclass(frozen=True)
class Text:
    """A paragraph; `**so**` is strong."""

    text: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table; `name` is that of its files. Long ones are shown folded."""

    name: str
    caption: str
    content: pd.DataFrame
    folded: bool = False
    links: dict[str, str] = field(default_factory=dict)
    """Addresses of the run ids that stand in it."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure that is drawn from numbers, in three formats. `alt` says what it shows to who cannot see it."""

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, eq=False)
class Picture:
    """A png that a run left: pictures of images, which cannot be drawn again without the data."""

    name: str
    caption: str
    alt: str
    content: bytes


@dataclass(frozen=True)
class Verdicts:
    """Claims and what the runs say to them."""

    verdicts: Sequence[Verdict]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Examples to look at."""

    shelves: Sequence[Section]


Block = Heading | Text | Table | Chart | Picture | Verdicts | Gallery
