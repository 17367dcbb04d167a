"""Trials as tasks of a Ray cluster, retried where a worker is lost; their results are brought to this machine.

Ray sends this package, the user's model and the images; the nodes need the same Python and torch. A trial whose worker
is lost resumes at its checkpoint where the nodes share the folder of this run, and starts anew where they do not.
"""

import importlib.util
import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from easiness.loaders import Staged
from easiness.trials.engines.errors import picklable
from easiness.trials.trial import Finished, Progress, Report, TrialTask, run_trial
from easiness.trials.trial_folder import is_done, is_trained, receive_files

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
_SEND_EVERY_S = 1.0


def run_on_cluster(
    tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished, address: str, per_gpu: int = 1
) -> None:
    """Run trials on a Ray cluster; see `easiness.trials.engines.run_trials`."""
    with _connect(address, {task.recipe.model for task in tasks}):
        messages = Queue(actor_options={"num_cpus": 0})
        sent_images: dict[int, ray.ObjectRef] = {}
        sent_weights = {
            path: ray.put(path.read_bytes()) for path in {task.weights for task in tasks if task.weights is not None}
        }
        remote_run = ray.remote(_run)
        running = {}
        for task in tasks:
            if (is_trained if task.joint else is_done)(task.folder):  # and not yet on the tracking server
                finished(task)
                continue
            train, train_images = _send_images(task.train, sent_images)
            val, val_images = _send_images(task.val, sent_images)
            # What a trial with folds measures has the images of what it trains on.
            scored = None if task.scored is None else _send_images(task.scored, sent_images)[0]
            small_task = replace(task, train=train, val=val, scored=scored, folder=task.folder.absolute(), weights=None)
            data = train_images, val_images, sent_weights.get(task.weights)
            start = remote_run.options(
                num_cpus=task.recipe.threads,
                num_gpus=1 / per_gpu if device.type == "cuda" else 0,
                max_retries=RETRIES,
                # On a shared folder, the lock of a machine that vanished may outlive it for a while.
                retry_exceptions=[BlockingIOError],
            )
            token = _leave_token(task.folder)
            running[start.remote(small_task, *data, token, str(device), messages)] = task
        relay = _Relay(report)
        while running:
            ready, _ = ray.wait(list(running), timeout=_SEND_EVERY_S)
            # Read before the results: the last messages of a finished trial are there by then.
            relay.pass_on(messages.get_nowait_batch(messages.qsize()))
            for reference in ready:
                task = running.pop(reference)
                _receive(reference, task)
                finished(task)


def _connect(address: str, models: set[str]) -> AbstractContextManager:
    """Connection to the cluster; when it is closed, all tasks of this run end."""
    packages = {model.split(":")[0].split(".")[0] for model in models if ":" in model}
    modules = [Path(__file__).parents[2], *map(_package_path, sorted(packages))]
    try:
        return ray.init(
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


def _package_path(package: str) -> Path:
    """Folder or file of the package that holds the user's model."""
    origin = Path(importlib.util.find_spec(package).origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _send_images(staged: Staged, sent: dict[int, "ray.ObjectRef"]) -> tuple[Staged, "ray.ObjectRef | None"]:
    """Staged dataset without its images, and these in the cluster's memory: each array once, however many share it."""
    images = getattr(staged, "images", None)
    if not isinstance(images, np.ndarray):  # in files
        return staged, None
    if id(images) not in sent:
        sent[id(images)] = ray.put(images)  # an id is never used again here: the tasks keep their arrays
    return replace(staged, images=None), sent[id(images)]


def _leave_token(folder: Path) -> str:
    """Write a token into the folder of a trial; a worker that reads it shares the folder."""
    token = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token)
    return token


def _receive(reference: "ray.ObjectRef", task: TrialTask) -> None:
    """Write a worker's files into the folder of its trial."""
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
    if result:  # else they are there
        receive_files(task.folder, result)
    (task.folder / "token").unlink(missing_ok=True)


def _run(
    task: TrialTask,
    train_images: np.ndarray | None,
    val_images: np.ndarray | None,
    weights: bytes | None,
    token: str,
    device: str,
    messages: Queue,
) -> dict[str, bytes] | BaseException:
    """Run a trial on a worker, in the folder of the run where this machine shares it, else in a temporary one.

    Returns the files of a temporary folder by name, or the error of the trial.
    """
    # Arrays in Ray's shared memory are read-only, which torch warns of; nobody writes to images.
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    token_file = task.folder / "token"
    shared = token_file.is_file() and token_file.read_text() == token
    folder = task.folder if shared else Path(tempfile.mkdtemp(prefix="easiness-"))
    reporter = _Reporter(messages)
    try:
        train, val = _with_images(task.train, train_images), _with_images(task.val, val_images)
        scored = None if task.scored is None else _with_images(task.scored, train_images)
        whole = replace(task, train=train, val=val, scored=scored, folder=folder, weights=weights)
        run_trial(whole, torch.device(device), reporter.report)
        files = [] if shared else [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    except BlockingIOError:
        raise
    except Exception as error:
        return picklable(error)
    finally:
        reporter.send()
        if not shared:
            shutil.rmtree(folder)


def _with_images(staged: Staged, images: np.ndarray | None) -> Staged:
    return staged if images is None else replace(staged, images=images)


class _Reporter:
    """Progress of one attempt at a trial, gathered on its worker and sent every second."""

    def __init__(self, messages: Queue) -> None:
        self._messages, self._attempt = messages, uuid.uuid4().hex
        self._waiting: list[Progress] = []
        self._sent_at = time.monotonic()

    def report(self, progress: Progress) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last and not last.metrics and not progress.metrics and last.resumed == progress.resumed:
            self._waiting[-1] = replace(last, images=last.images + progress.images)
        else:
            self._waiting.append(progress)
        if time.monotonic() - self._sent_at > _SEND_EVERY_S:
            self.send()

    def send(self) -> None:
        self._messages.put_nowait_batch([(self._attempt, progress) for progress in self._waiting])
        self._waiting, self._sent_at = [], time.monotonic()


class _Relay:
    """Progress of all trials passed on, less the images of attempts whose worker was lost."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._attempts: dict[str, str] = {}
        self._images: Counter[tuple[str, bool]] = Counter()

    def pass_on(self, messages: list[tuple[str, Progress]]) -> None:
        for attempt, progress in messages:
            name = progress.name
            if self._attempts.setdefault(name, attempt) != attempt:
                self._attempts[name] = attempt
                for resumed in (False, True):
                    lost = self._images.pop((name, resumed), 0)
                    if lost:
                        self._report(Progress(name, -lost, resumed=resumed))
            self._images[name, progress.resumed] += progress.images
            self._report(progress)
