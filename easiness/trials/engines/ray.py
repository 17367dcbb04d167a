"""Trials as tasks of a Ray cluster: on any machine with room, again where a worker is lost, results brought back here.

Ray sends this package, the user's model and the images; the nodes need the same Python and torch. A trial whose worker
is lost goes on from its checkpoint where the nodes share the folder of this run, and starts anew where they do not.
"""

import importlib.util
import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from easiness.loaders import Staged
from easiness.trials.engines.errors import picklable
from easiness.trials.trial import Progress, TrialTask, run_trial
from easiness.trials.trial_folder import is_done, is_trained

# Ray would report its use to its makers.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
    from ray.exceptions import RayError
    from ray.util.queue import Queue
except ImportError as error:
    raise ImportError("engine=ray needs Ray; install it with: pip install 'easiness[ray]'") from error

# How often a trial is started again after its worker was lost.
RETRIES = 3

# A message through a cluster costs a thousand times what one between two processes costs.
_NEWS_EVERY_S = 1.0


def run_on_cluster(
    tasks: list[TrialTask],
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
    address: str,
) -> None:
    """Run trials on a Ray cluster; see `easiness.trials.engines.run_trials`.

    Raises
    ------
    ConnectionError
        If there is no cluster at that address.
    RuntimeError
        If a trial's workers were lost more often than it is started again.
    """
    with _cluster(address, {task.recipe.model for task in tasks}):
        news = Queue(actor_options={"num_cpus": 0})
        images = _Images()
        start = ray.remote(_run)
        running = {}
        for task in tasks:
            if (is_trained if task.joint else is_done)(task.folder):  # and not yet on the tracking server
                finished(task)
                continue
            train, val = (images.sent(staged) for staged in (task.train, task.val))
            folder = task.folder.absolute()
            options = start.options(
                num_cpus=task.recipe.threads,
                num_gpus=1 if device.type == "cuda" else 0,
                max_retries=RETRIES,
                # On a shared folder, the lock of a machine that vanished may outlive it for a while.
                retry_exceptions=[BlockingIOError],
            )
            bare = replace(task, train=train.rest, val=val.rest, folder=folder)
            running[options.remote(bare, train.images, val.images, _mark(folder), str(device), news)] = task
        display = _Display(report)
        while running:
            ready, _ = ray.wait(list(running), timeout=_NEWS_EVERY_S)
            # Asked before the results are looked at: news of a finished trial is there by then.
            display.show(news.get_nowait_batch(news.qsize()))
            for reference in ready:
                task = running.pop(reference)
                _receive(reference, task)
                finished(task)


@contextmanager
def _cluster(address: str, models: set[str]) -> Iterator[None]:
    own = {model.split(":")[0].split(".")[0] for model in models if ":" in model}
    modules = [Path(__file__).parents[2], *map(_place, sorted(own))]
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": [str(module) for module in modules]},
            log_to_driver=False,
            logging_level="WARNING",
            include_dashboard=False if address == "local" else None,
        )
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster answers at address {address!r}; start one with `ray start --head`, or use address=local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()  # and with it all tasks of this run


def _mark(folder: Path) -> str:
    """Leave a token in the folder of a trial, by which a worker knows it as the same folder."""
    token = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token)
    return token


def _place(package: str) -> Path:
    """Folder or file of the package that holds the user's model."""
    origin = Path(importlib.util.find_spec(package).origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _receive(reference: "ray.ObjectRef", task: TrialTask) -> None:
    """Put what a worker sent into the folder of its trial, last what says that it is trained, and that it is done."""
    try:
        result = ray.get(reference)
    except BlockingIOError as error:
        raise RuntimeError(f"{task.name}: its folder is in use by another process ({error}); wait for it") from error
    except RayError as error:
        raise RuntimeError(
            f"{task.name}: its worker was lost {RETRIES + 1} times ({' '.join(str(error).split())[:200]})"
        ) from error
    if isinstance(result, BaseException):
        raise result
    last = ("validation/epochs.json", "done.json")
    for name in sorted(result, key=lambda name: last.index(name) if name in last else -1):
        target = task.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        partial.write_bytes(result[name])
        partial.replace(target)
    (task.folder / "token").unlink(missing_ok=True)


def _run(
    task: TrialTask,
    train_images: np.ndarray | None,
    val_images: np.ndarray | None,
    token: str,
    device: str,
    news: Queue,
) -> dict[str, bytes] | BaseException:
    """On a worker: run a trial in the folder of the run where this machine sees it, else in one of its own.

    Returns
    -------
    dict of bytes
        Files by name; empty where they are in the run's folder already. Or what the trial raised.
    """
    # Ray's shared memory is for reading, torch warns of that, and nobody writes to images.
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    mark = task.folder / "token"
    shared = mark.is_file() and mark.read_text() == token
    place = task.folder if shared else Path(tempfile.mkdtemp(prefix="easiness-"))
    teller = _Teller(news)
    try:
        train, val = _with_images(task.train, train_images), _with_images(task.val, val_images)
        run_trial(replace(task, train=train, val=val, folder=place), torch.device(device), teller.tell)
        return {} if shared else _files(place)
    except BlockingIOError:
        raise
    except Exception as error:
        return picklable(error)
    finally:
        teller.send()
        if not shared:
            shutil.rmtree(place)


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


class _Sent(NamedTuple):
    """A staged dataset on its way: what is small, and where the cluster keeps its images (None: in files)."""

    rest: Staged
    images: "ray.ObjectRef | None"


class _Images:
    """Puts images into the cluster's memory, each array once, however many subsets share it."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[np.ndarray, ray.ObjectRef]] = {}

    def sent(self, staged: Staged) -> _Sent:
        images = getattr(staged, "images", None)
        if not isinstance(images, np.ndarray):
            return _Sent(staged, None)
        if id(images) not in self._kept:
            self._kept[id(images)] = images, ray.put(images)
        return _Sent(replace(staged, images=None), self._kept[id(images)][1])


def _with_images(staged: Staged, images: np.ndarray | None) -> Staged:
    return staged if images is None else replace(staged, images=images)


class _Teller:
    """On a worker: gathers news, and sends it every second. Each attempt at a trial has a name of its own."""

    def __init__(self, news: Queue) -> None:
        self._news, self._attempt = news, uuid.uuid4().hex
        self._waiting: list[Progress] = []
        self._sent = time.monotonic()

    def tell(self, progress: Progress) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last and not last.metrics and not progress.metrics and last.resumed == progress.resumed:
            self._waiting[-1] = replace(last, images=last.images + progress.images)
        else:
            self._waiting.append(progress)
        if time.monotonic() - self._sent > _NEWS_EVERY_S:
            self.send()

    def send(self) -> None:
        self._news.put_nowait_batch([(self._attempt, progress) for progress in self._waiting])
        self._waiting, self._sent = [], time.monotonic()


class _Display:
    """Hands news on, and takes back what a lost worker had counted."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._attempts: dict[str, str] = {}
        self._counted: dict[str, dict[bool, int]] = defaultdict(lambda: {False: 0, True: 0})

    def show(self, news: list[tuple[str, Progress]]) -> None:
        for attempt, progress in news:
            counted = self._counted[progress.name]
            if self._attempts.setdefault(progress.name, attempt) != attempt:
                self._attempts[progress.name] = attempt
                for resumed, images in filter(lambda item: item[1], counted.items()):
                    self._report(Progress(progress.name, -images, resumed=resumed))
                counted.update({False: 0, True: 0})
            counted[progress.resumed] += progress.images
            self._report(progress)
