"""Progress of running trials: bars in a terminal, lines in a log, nothing where nobody asked."""

import itertools
import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

from easiness.trials.trial import Progress

LOG = logging.getLogger("easiness")


class TrialDisplay:
    """Progress of several trials by name, given the images that each trains on or measures; a context manager."""

    def __init__(self, images: dict[str, int], epochs: dict[str, int]) -> None:
        self._images, self._epochs = images, epochs
        self._all = sum(images.values())
        self._terminal = LOG.isEnabledFor(logging.INFO) and sys.stderr.isatty()
        self._bars: dict[str, tqdm] = {}
        self._lines: dict[str, int] = {}
        self._done, self._resumed, self._started = 0, 0, time.monotonic()
        self._total = self._bar(f"{len(images)} trials", self._all, 0)

    def __enter__(self) -> "TrialDisplay":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for bar in (*self._bars.values(), self._total):
            bar.close()

    def report(self, progress: Progress) -> None:
        """Show the news of one trial."""
        name = progress.name
        if name not in self._bars:
            self._lines[name] = next(line for line in itertools.count(1) if line not in self._lines.values())
            self._bars[name] = self._bar(name, self._images[name], self._lines[name])
            if progress.images and progress.resumed:
                LOG.info("%s  resumes at its checkpoint", name)
        for bar in (self._bars[name], self._total):
            bar.update(progress.images)
        self._done += progress.images
        self._resumed += progress.images if progress.resumed else 0
        if progress.metrics:
            self._epoch(name, progress.metrics)

    def finished(self, name: str) -> None:
        """Clear the line of a trial for the next one."""
        if name in self._bars:
            self._bars.pop(name).close()
            del self._lines[name]

    def _epoch(self, name: str, metrics: dict[str, float]) -> None:
        accuracy = f"  val accuracy {metrics['val_accuracy']:.3f}" if "val_accuracy" in metrics else ""
        news = f"train loss {metrics['train_loss']:.3f}{accuracy}  {metrics['images_per_second']:.0f} images/s"
        epoch = f"{name}  epoch {metrics['epoch']}/{self._epochs[name]}"
        self._bars[name].set_description(epoch)
        if self._terminal:
            self._bars[name].set_postfix_str(news)
            return
        done = self._done - self._resumed
        if not done:  # an epoch of one batch, which is told of when the next one is asked for
            LOG.info("%s  %s", epoch, news)
            return
        rate = done / (time.monotonic() - self._started)
        LOG.info("%s  %s  %s left", epoch, news, _minutes((self._all - self._done) / rate))

    def _bar(self, name: str, total: int, line: int) -> tqdm:
        return tqdm(
            desc=name,
            total=total,
            position=line,
            unit="img",
            unit_scale=True,
            disable=not self._terminal,
            leave=line == 0,
        )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
