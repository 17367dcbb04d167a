"""Score, match and report without what only Linux has: a rehearsal on Linux of macOS and Windows, no proof of them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Windows' locks stand on Linux's here, and whoever asks for Linux's finds none.
DRIVER = """
import fcntl, os, signal, sys, types
import psutil

real = fcntl
windows = types.ModuleType("msvcrt")
windows.LK_NBLCK = 0
windows.locking = lambda descriptor, mode, count: real.flock(descriptor, real.LOCK_EX | real.LOCK_NB)
sys.modules["msvcrt"], sys.modules["fcntl"] = windows, None
import easiness.machine
sys.modules["fcntl"] = real  # for other packages, which have their own ways
del sys.modules["msvcrt"]

for module, name in ((os, "sched_getaffinity"), (os, "pidfd_open"), (signal, "SIGHUP"), (signal, "pthread_sigmask")):
    delattr(module, name)
easiness.machine.STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

from easiness.reporting import writing
from easiness.trials.engines import processes
processes.METHOD = "spawn"
writing._exchange = lambda one, other: False

if __name__ == "__main__":
    import easiness
    small = dict(dataset="planted", limit=60, limit_val=20, trials=2, epochs=1, resolution=32, engine="processes")
    small |= dict(log_models="none", allow_outliers=True)
    runs = [easiness.score(model=m, **small).run_id for m in ("wide_resnet_10_1", "densenet_bc_10_12")]
    match = easiness.match(runs=runs)
    for _ in range(2):  # the second takes the place of the first
        print(easiness.report(runs=[*runs, match.run_id], name="page").folder)
    assert easiness.machine.fcntl is None
"""


def test_score_match_and_report_with_spawned_workers_and_without_linux(tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "page" / "index.html").is_file()
    assert not list((tmp_path / ".easiness" / "trials").iterdir()), "all of it is on the server"
