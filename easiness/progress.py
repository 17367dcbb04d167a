"""What a person sees while trials run: bars in a terminal, lines in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

from easiness.trials import Progress


class TrialDisplay:
    """Progress of several trials; a context manager.

    Parameters
    ----------
    trials : list of int
        Numbers of the trials that will run.
    images : int
        Images that one trial trains on or measures.
    epochs : int
        Epochs of one trial.
    """

    def __init__(self, trials: list[int], images: int, epochs: int) -> None:
        self._trials, self._images, self._epochs = trials, images, epochs
        self._terminal = sys.stderr.isatty()
        self._bars: dict[int, tqdm] = {}
        self._done, self._resumed, self._started = 0, 0, time.monotonic()
        self._total = self._bar(f"{len(trials)} trials", len(trials) * images, 0)

    def __enter__(self) -> "TrialDisplay":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for bar in (*self._bars.values(), self._total):
            bar.close()

    def report(self, progress: Progress) -> None:
        """Show the news of one trial."""
        fresh = progress.trial not in self._bars
        if fresh:
            line = 1 + len(self._bars)
            self._bars[progress.trial] = self._bar(f"trial {progress.trial}", self._images, line)
            if progress.images and progress.resumed:
                self.say(f"trial {progress.trial}  goes on from its checkpoint")
        for bar in (self._bars[progress.trial], self._total):
            bar.update(progress.images)
        self._done += progress.images
        self._resumed += progress.images if progress.resumed else 0
        if progress.metrics:
            self._epoch(progress.trial, progress.metrics)

    def say(self, line: str) -> None:
        """Print a line above the bars, or into the log."""
        if self._terminal:
            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def _epoch(self, trial: int, metrics: dict[str, float]) -> None:
        news = (
            f"train loss {metrics['train_loss']:.3f}  val accuracy {metrics['val_accuracy']:.3f}  "
            f"{metrics['images_per_second']:.0f} images/s"
        )
        self._bars[trial].set_description(f"trial {trial}  epoch {metrics['epoch']}/{self._epochs}")
        if self._terminal:
            self._bars[trial].set_postfix_str(news)
            return
        worked = self._done - self._resumed
        left = len(self._trials) * self._images - self._done
        rate = worked / (time.monotonic() - self._started)
        self.say(f"trial {trial}  epoch {metrics['epoch']}/{self._epochs}  {news}  {_minutes(left / rate)} left")

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
