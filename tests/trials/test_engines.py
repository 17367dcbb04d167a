"""Every engine leaves the same bits; errors of a worker are raised in the process that owns the run."""

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from easiness.architectures import build_model
from easiness.datasets.image_files import ImageFiles, check_files
from easiness.loaders import stage
from easiness.trials.engines import choose_engine, device_on_cluster, run_trials, trials_on_gpu
from easiness.trials.engines import processes as processes_engine
from easiness.trials.engines.errors import picklable
from easiness.trials.engines.processes import worker_devices
from easiness.trials.evaluation import MEASURES
from easiness.trials.training import DivergedError
from easiness.trials.trial import Progress, TrialTask, load_model, run_trial, work_in_trial
from easiness.trials.trial_folder import HELD_OUT, is_done, is_trained, measure_file
from tests import mortal_model
from tests.tiny_data import MODEL, tiny_dataset, tiny_folded_task, tiny_recipe, tiny_task

CPU = torch.device("cpu")
MORTAL = "tests.mortal_model:build"


def run(tasks, engine, **options):
    """Progress and finished trials of a run."""
    news, finished = [], []
    run_trials(
        tasks, engine=engine, device=CPU, report=news.append, finished=lambda task: finished.append(task), **options
    )
    return news, [task.trial for task in finished]


def measured(task):
    """Measures of a trial and its weights, in bytes."""
    files = {
        path.relative_to(task.folder).as_posix(): np.load(path).tobytes()
        for measure in MEASURES
        for path in (task.folder / measure).iterdir()
    }
    weights = load_model(task).state_dict()
    return files | {name: values.numpy().tobytes() for name, values in weights.items()}


def counted(news, trial):
    return sum(progress.images for progress in news if progress.name == f"trial {trial}")


def tasks_of(folder, name, **chosen):
    return [
        tiny_task(folder / name / str(trial), trial=trial, in_files=folder / "staged" / str(trial), **chosen)
        for trial in (0, 1)
    ]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes_give_the_bits_of_inline(method, tmp_path, monkeypatch):
    monkeypatch.setattr(processes_engine, "METHOD", method)
    inline, processes = (tasks_of(tmp_path, name) for name in ("inline", "processes"))
    news_inline, done_inline = run(inline, "inline")
    news, done = run(processes, "processes")
    assert done_inline == sorted(done) == [0, 1]
    for one, other in zip(inline, processes, strict=True):
        assert measured(one) == measured(other)
        assert counted(news, one.trial) == counted(news_inline, one.trial) == work_in_trial(one.recipe, 21, 9)


def test_workers_share_nothing_that_would_outlive_them(tmp_path, monkeypatch):
    registered = []  # semaphores with a name stay where all processes, and their tracker, are killed at once
    monkeypatch.setattr(resource_tracker, "register", lambda *named: registered.append(named))
    run([tiny_task(tmp_path / "t", in_files=tmp_path / "staged")], "processes")
    assert registered == []


def test_an_error_in_a_worker_process_is_raised_here(tmp_path):
    with pytest.raises(DivergedError, match=r"trial [01]: the loss is .* at learning rate 1e\+30"):
        run(tasks_of(tmp_path, "wild", learning_rate=1e30), "processes")


def test_a_killed_worker_process_is_said_and_its_epochs_are_kept(tmp_path, monkeypatch):
    task = tiny_task(tmp_path / "t", model=MORTAL, in_files=tmp_path / "staged")
    monkeypatch.setenv(mortal_model.FOLDER, str(tmp_path))
    with pytest.raises(RuntimeError, match=r"a worker process died \(killed by the system"):
        run([task], "processes")
    assert not is_done(task.folder)
    news, _ = run([task], "processes")
    assert is_done(task.folder)
    assert [progress.images for progress in news if progress.resumed] == [21 + 9 + 21]


# As one writes a script: no `if __name__ == "__main__"`, which other pools of processes ask for.
PROGRAM = """
import sys
from pathlib import Path
from tests.trials.test_engines import run, tasks_of

print("here")
tasks = tasks_of(Path(sys.argv[1]), "script", epochs=1)
print(*sorted(run(tasks, "processes")[1]))
"""


def test_workers_leave_the_program_alone(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, program, tmp_path], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["here", "0", "1"], done.stderr


HELD = """
import signal
from multiprocessing import forkserver
from pathlib import Path
from easiness.trials.engines.processes import prepare_workers

prepare_workers()
server = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()
(blocked,) = [line.split()[1] for line in server.splitlines() if line.startswith("SigBlk")]
print(bool(int(blocked, 16) >> signal.SIGINT - 1 & 1), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_an_interrupt_is_for_the_program_alone():
    said = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.split() == ["True", "False"], said.stderr


@pytest.mark.parametrize(
    ("engine", "device", "gpus", "tasks", "chosen"),
    [
        ("auto", "cpu", 0, 2, "processes"),
        ("auto", "cpu", 0, 1, "inline"),
        ("auto", "cuda", 1, 5, "inline"),
        ("auto", "cuda", 4, 5, "processes"),
        ("inline", "cuda", 4, 5, "inline"),
        ("ray", "cpu", 0, 1, "ray"),
    ],
)
def test_auto_uses_what_is_there(monkeypatch, engine, device, gpus, tasks, chosen):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_engine(engine, torch.device(device), tasks) == chosen


def test_unknown_engine():
    with pytest.raises(ValueError, match="engine is 'threads', and must be one of auto, processes, inline, ray"):
        choose_engine("threads", CPU, 1)


def test_a_worker_for_every_core_or_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert len(worker_devices(CPU, 20, 1)) == 8
    assert len(worker_devices(CPU, 20, 3)) == 2
    assert len(worker_devices(CPU, 5, 1)) == 5
    assert len(worker_devices(CPU, 5, 16)) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [str(gpu) for gpu in worker_devices(torch.device("cuda"), 3, 1)] == ["cuda:0", "cuda:1", "cuda:2"]
    assert len(worker_devices(torch.device("cuda"), 9, 1)) == 4
    assert [gpu.index for gpu in worker_devices(torch.device("cuda"), 6, 1, 2)] == [0, 1, 2, 3, 0, 1], "spread first"


def test_small_trials_share_a_gpu_where_it_takes_them_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert (trials_on_gpu(None, 32), trials_on_gpu(3, 224)) == (1, 3)
    (tmp_path / "control").touch()
    assert (trials_on_gpu(None, 32), trials_on_gpu(None, 224)) == (4, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    gpu = torch.device("cuda")
    assert [choose_engine("auto", gpu, 4, per_gpu) for per_gpu in (1, 4)] == ["inline", "processes"]


class StubbornError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def test_errors_travel_with_their_traceback_or_as_their_words():
    for error, kind in ((ValueError("no"), ValueError), (StubbornError("this", "that"), RuntimeError)):
        try:
            raise error
        except Exception as raised:
            arrived = pickle.loads(pickle.dumps(picklable(raised)))
        assert type(arrived) is kind
        assert str(error) in str(arrived)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a Ray cluster of two CPUs, and the folder in which mortal networks leave their trace."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs Ray: pip install 'easiness[ray]'")
    traces = tmp_path_factory.mktemp("traces")
    head = {"num_cpus": 2, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:  # for the cluster's workers, and not for this process
        patch.setenv(mortal_model.FOLDER, str(traces))
        patch.setenv("RAY_worker_niceness", "0")  # at Ray's own 15 they would starve on a busy machine
        running = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    yield running.address, traces / "steps"
    running.shutdown()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves the logs of its own processes open
def test_ray_gives_the_bits_of_inline_although_a_worker_is_killed(cluster, tmp_path, monkeypatch, shared):
    address, steps = cluster
    steps.unlink(missing_ok=True)
    inline, on_ray = ([tiny_task(tmp_path / name, model=MORTAL)] for name in ("inline", "ray"))
    run(inline, "inline")
    if not shared:
        monkeypatch.setattr("easiness.trials.engines.ray._leave_token", lambda folder: "on another machine")
    news, done = run(on_ray, "ray", address=address)
    assert done == [0]
    assert measured(inline[0]) == measured(on_ray[0])
    assert counted(news, 0) == work_in_trial(on_ray[0].recipe, 21, 9)
    assert any(progress.resumed for progress in news) == shared
    # Three epochs of three steps, killed in the fifth: the second epoch, or both, are walked twice.
    assert steps.stat().st_size == 9 + (2 if shared else 5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_takes_the_weights_of_a_start_along(cluster, tmp_path, monkeypatch, shared):
    address, _ = cluster
    file = tmp_path / "start.pt"
    torch.save(build_model(MODEL, 5, image_size=12, seed=99).state_dict(), file)
    start = {"weights": "start.pt", "weights_sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "new_head": True}
    inline, on_ray = (
        [replace(tiny_task(tmp_path / name, recipe="finetune", **start), weights=file)] for name in ("inline", "ray")
    )
    run(inline, "inline")
    if not shared:
        monkeypatch.setattr("easiness.trials.engines.ray._leave_token", lambda folder: "on another machine")
    run(on_ray, "ray", address=address)
    assert measured(inline[0]) == measured(on_ray[0])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_gives_the_bits_of_inline_with_folds(cluster, tmp_path):
    inline, on_ray = ([tiny_folded_task(tmp_path / name)] for name in ("inline", "ray"))
    run(inline, "inline")
    run(on_ray, "ray", address=cluster[0])
    assert measured(inline[0]) == measured(on_ray[0])
    moment = measure_file(HELD_OUT, 6)
    assert (inline[0].folder / moment).read_bytes() == (on_ray[0].folder / moment).read_bytes()


@pytest.fixture
def streamed(tmp_path):
    """Trials whose images stay in files: two, which share them."""
    data, recipe = tiny_dataset(21), tiny_recipe(loader="torchvision", shift=3)
    paths = [str(tmp_path / f"{row}.png") for row in range(21)]
    for path, pixels in zip(paths, data.images, strict=True):
        Image.fromarray(pixels).save(path)
    stored = np.array([list(check.stored) for check in check_files(paths)], np.uint8)
    data = replace(data, images=ImageFiles(tuple(paths), np.full((21, 2), 12), stored))
    sets = stage(data, data.subset(np.arange(9)), recipe, None)
    return lambda name: [TrialTask(recipe, trial, *sets, tmp_path / name / str(trial)) for trial in (0, 1)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_gives_the_bits_of_inline_of_images_in_files_and_says_where_they_are_not(cluster, streamed, monkeypatch):
    run(streamed("inline"), "inline")
    run(streamed("ray"), "ray", address=cluster[0])
    for inline, on_ray in zip(streamed("inline"), streamed("ray"), strict=True):
        assert measured(inline) == measured(on_ray)
    from easiness.trials.engines import ray as ray_engine

    (source,) = {Path(path).name for path in ray_engine._sources(streamed("ray")[0])}
    assert source == "0.png"
    monkeypatch.setattr(ray_engine, "_sources", lambda task: {"/nowhere/train.beton"})
    with pytest.raises(
        FileNotFoundError, match="/nowhere/train.beton is not there on the node .*; images in files must"
    ):
        run(streamed("elsewhere"), "ray", address=cluster[0])


def test_columns_are_sent_once_for_all_trials(streamed, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'easiness[ray]'")
    from easiness.trials.engines.ray import _put

    memory = []
    monkeypatch.setattr(ray, "put", lambda value: memory.append(value) or f"reference {len(memory)}")
    for tasks in (streamed("one"), [tiny_folded_task(tmp_path / "folds"), tiny_folded_task(tmp_path / "again")]):
        memory.clear()
        sent = {}
        once = [_put(tasks[0].train, sent), _put(tasks[0].val, sent)]
        count = len(memory)
        assert count
        assert [_put(tasks[0].train, sent), _put(tasks[0].val, sent)] == once
        assert len(memory) == count
        assert all(len(pickle.dumps(staged)) < 2_500 for staged in once)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_no_node_can_run_is_refused_and_the_cluster_is_asked_for_gpus(cluster, tmp_path):
    address, _ = cluster
    assert device_on_cluster(address) == CPU
    with pytest.raises(ValueError, match="needs 64 CPUs and 0 GPUs of one node, and .* have 2 and 0; lower threads"):
        run([tiny_task(tmp_path / "t", threads=64)], "ray", address=address)
    on_gpu = {"device": torch.device("cuda"), "report": print, "finished": print, "address": address}
    with pytest.raises(ValueError, match="needs 1 CPUs and 1 GPUs of one node, and .* have 2 and 0; use device=cpu"):
        run_trials([tiny_task(tmp_path / "t")], engine="ray", **on_gpu)


def test_results_cut_off_on_their_way_do_not_pass_for_a_trained_trial(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'easiness[ray]'")
    from easiness.trials.engines.ray import _receive

    task = tiny_task(tmp_path / "t")
    run_trial(tiny_task(tmp_path / "there"), CPU, lambda _: None)
    sent = {path.relative_to(tmp_path / "there").as_posix(): path for path in (tmp_path / "there").rglob("*.*")}
    sent = {name: path.read_bytes() for name, path in sent.items()}
    (task.folder / "losses").mkdir(parents=True)
    (task.folder / "losses" / "updates=000003.npy.part").mkdir()  # so that this one fails
    monkeypatch.setattr(ray, "get", lambda _: sent)
    with pytest.raises(IsADirectoryError):
        _receive(None, task)
    assert not is_trained(task.folder)


def test_what_a_lost_worker_had_counted_is_taken_back():
    pytest.importorskip("ray", reason="needs Ray: pip install 'easiness[ray]'")
    from easiness.trials.engines.ray import _Relay

    reported = []
    relay = _Relay(reported.append)
    relay.pass_on(
        [("a", Progress("trial 0", 50, resumed=True)), ("a", Progress("trial 0", 8)), ("x", Progress("trial 1", 3))]
    )
    relay.pass_on([("b", Progress("trial 0", 56, resumed=True)), ("b", Progress("trial 0", 8))])
    assert [
        sum(progress.images for progress in reported if progress.name == name) for name in ("trial 0", "trial 1")
    ] == [64, 3]
    assert sum(progress.images for progress in reported if progress.resumed) == 56


def test_error_on_ray_is_raised_here(cluster, tmp_path):
    with pytest.raises(DivergedError, match=r"trial 0: the loss is .* at learning rate 1e\+30"):
        run([tiny_task(tmp_path / "t", learning_rate=1e30)], "ray", address=cluster[0])


def test_no_cluster_at_that_address(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'easiness[ray]'")

    def found_none(**_):  # Ray looks at all processes of the machine, and might find somebody else's cluster
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(ray, "init", found_none)
    with pytest.raises(ConnectionError, match="no Ray cluster answers at address 'auto'; start one with `ray start"):
        run([tiny_task(tmp_path / "t")], "ray", address="auto")
