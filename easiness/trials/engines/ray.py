"""Trials as tasks of a Ray cluster, retried where a worker is lost; their results are brought to this machine.

Ray sends this package, the user's model and the images; the nodes need the same Python and torch. A trial whose worker
is lost resumes at its checkpoint where the nodes share the folder of this run, and starts anew where they do not.
"""

import importlib.util
import os
import shutil
import socket
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

from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import ImageFiles
from easiness.loaders import Staged
from easiness.loaders.staging import StagedStream
from easiness.loaders.streaming import Columns
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

# Data of a trial.
_SETS = ("train", "val", "scored")

# A message through a cluster costs a thousand times what one between two processes costs.
_SEND_EVERY_S = 1.0


def run_on_cluster(
    tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished, address: str, per_gpu: int = 1
) -> None:
    """Run trials on a Ray cluster; see `easiness.trials.engines.run_trials`."""
    with _connect(address, {task.recipe.model for task in tasks}):
        gpus = 1 / per_gpu if device.type == "cuda" else 0
        _require_room(max(task.recipe.threads for task in tasks), gpus)
        messages = Queue(actor_options={"num_cpus": 0})
        sent: dict[int, ray.ObjectRef] = {}
        sent_weights = {
            path: ray.put(path.read_bytes()) for path in {task.weights for task in tasks if task.weights is not None}
        }
        remote_run = ray.remote(_run)
        running = {}
        for task in tasks:
            if (is_trained if task.joint else is_done)(task.folder):  # and not yet on the tracking server
                finished(task)
                continue
            sets = {name: _put(getattr(task, name), sent) for name in _SETS}
            small_task = replace(task, folder=task.folder.absolute(), weights=None, **sets)
            data = sent_weights.get(task.weights), _sources(task)
            start = remote_run.options(
                num_cpus=task.recipe.threads,
                num_gpus=gpus,
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


def cluster_device(address: str) -> torch.device:
    """Device for `device=auto`: a GPU where a node of the cluster has one; this machine may have none."""
    if address == "local":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _connect(address, set()):
        return torch.device("cuda" if ray.cluster_resources().get("GPU", 0) else "cpu")


def _require_room(threads: int, gpus: float) -> None:
    """Refuse trials that no node can run, and that would wait for ever."""
    nodes = [
        (node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]
    ]
    if not any(cpus >= threads and node_gpus >= gpus for cpus, node_gpus in nodes):
        found = ", ".join(f"{cpus:g} and {node_gpus:g}" for cpus, node_gpus in sorted(set(nodes)))
        raise ValueError(
            f"a trial needs {threads} CPUs and {gpus:g} GPUs of one node, and the nodes of the cluster have {found}; "
            f"{'use device=cpu' if gpus else 'lower threads'}, or add such a node"
        )


def _put(staged: Staged | None, sent: dict[int, "ray.ObjectRef"]) -> Staged | None:
    """Staged dataset with references to its columns in the cluster's memory: each once, however many share it."""
    if staged is None:
        return None
    columns = {name: value for name, value in vars(staged).items() if isinstance(value, np.ndarray | Columns)}
    for value in columns.values():
        if id(value) not in sent:  # an id is never used again here: the tasks keep their arrays
            sent[id(value)] = ray.put(value)
    return replace(staged, **{name: sent[id(value)] for name, value in columns.items()})


def _get(staged: Staged | None) -> Staged | None:
    """Staged dataset on a worker, from that of `_put`."""
    if staged is None:
        return None
    references = {name: value for name, value in vars(staged).items() if isinstance(value, ray.ObjectRef)}
    return replace(staged, **dict(zip(references, ray.get(list(references.values())), strict=True)))


def _sources(task: TrialTask) -> set[str]:
    """Files of a trial's images that a node must have under the same path: the packed ones, or the first of many."""
    sets = [getattr(task, name) for name in _SETS]
    images = [staged.columns.images for staged in sets if isinstance(staged, StagedStream)]
    packed = {str(some.file.path) for some in images if isinstance(some, BetonImages)}
    return packed | {some.paths[0] for some in images if isinstance(some, ImageFiles)}


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
    weights: bytes | None,
    sources: set[str],
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
        for source in sources:
            if not Path(source).exists():
                raise FileNotFoundError(
                    f"{source} is not there on the node {socket.gethostname()}; images in files must have the same "
                    "path on all nodes of the cluster"
                )
        whole = replace(task, folder=folder, weights=weights, **{name: _get(getattr(task, name)) for name in _SETS})
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
