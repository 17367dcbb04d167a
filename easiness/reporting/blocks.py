"""Parts of a page: text, tables, charts, pictures, verdicts and galleries. templates/blocks.html draws each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from easiness.figures import Figure
from easiness.figures.text_fit import file_name
from easiness.reporting.claims import Verdict
from easiness.reporting.gallery import Section


@dataclass(frozen=True)
class Heading:
    """Heading of a chapter (level 2) or a section (level 3)."""

    text: str
    level: int = 3


@dataclass(frozen=True)
class Text:
    """Paragraph in which `**this**` is strong."""

    text: str


@dataclass(frozen=True, eq=False)
class Filed:
    """Block with files of its own; whatever `name` is made of, it becomes the name of a file."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", file_name(self.name))


@dataclass(frozen=True, eq=False)
class Table(Filed):
    """Table; `links` are addresses of run ids in its cells. Long ones are folded."""

    caption: str
    content: pd.DataFrame
    folded: bool = False
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Chart(Filed):
    """Figure drawn from numbers, saved in three formats; `alt` describes it to readers who cannot see it.

    Of neighbouring figures with a `choice`, the page shows those of one choice at a time, and a menu of all.
    """

    caption: str
    alt: str
    draw: Callable[[], Figure]
    choice: str = ""


@dataclass(frozen=True, eq=False)
class Picture(Filed):
    """Png that a run left: pictures of images, which cannot be drawn again without the data."""

    caption: str
    alt: str
    content: bytes
    choice: str = ""


@dataclass(frozen=True, eq=False)
class ScoreFile(Filed):
    """Numbers of every example, written to `scores/NAME.parquet` beside the page, which only links it."""

    caption: str
    content: pd.DataFrame


@dataclass(frozen=True)
class Verdicts:
    """Claims and what the runs say about them."""

    verdicts: Sequence[Verdict]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Examples to look at."""

    sections: Sequence[Section]


Block = Heading | Text | Table | ScoreFile | Chart | Picture | Verdicts | Gallery
