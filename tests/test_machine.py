import os
import subprocess
import sys
import time
from pathlib import Path

from easiness.files import own_folder
from easiness.machine import HOST, has_process_with, is_alive, process_mark


def test_a_process_is_known_by_its_id_and_its_start():
    mark = process_mark()
    assert is_alive(mark)
    pid, start = mark.split("-")
    assert not is_alive(f"{pid}-{int(start) - 1}"), "an earlier process with the same id"
    assert not is_alive(f"999999999-{start}")


def test_a_zombie_is_dead():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked for its status
    start = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[19]
    assert not is_alive(f"{child}-{start}")
    os.waitpid(child, 0)


def test_a_process_is_found_by_its_environment():
    assert not has_process_with("MLFLOW_RUN_ID", "no such run")
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ | {"MLFLOW_RUN_ID": "r1"}) as child:
        while not has_process_with("MLFLOW_RUN_ID", "r1"):  # until the program has taken the place of this one's copy
            time.sleep(0.01)
        child.communicate(b"\n")
    assert not has_process_with("MLFLOW_RUN_ID", "r1")


def test_folders_of_dead_processes_are_removed_and_others_stay(tmp_path):
    names = [f"staged-{HOST}-999999999-1-x", f"tmp-{HOST}-999999999-1-y", f"tmp-{HOST}-{process_mark()}-z"]
    names += ["tmp-elsewhere-999999999-1-x", "trials"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    with own_folder(tmp_path, "tmp") as folder:
        assert folder.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {*names[2:], folder.name}
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])
