import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from easiness import tracking
from easiness.tracking import TrackingError
from easiness.tracking.errors import in_one_line
from tests.artifact_server import artifact_server


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def remote(store, monkeypatch):
    """A server that has the artifacts of the experiment in which runs are opened."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    with artifact_server() as server:
        yield server


def opened():
    """The error that opening a run gives, before its work."""
    with pytest.raises(TrackingError) as caught, tracking.tracked_run("score", "s"):
        raise AssertionError("the work has begun")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "asks for a user and a password (401): .*; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, "forbids this to a caller without a name (403): .*; ask whoever runs it"),
        (413, "takes no upload of this size (413): .*client_max_body_size"),
        (500, "fails (500): .*; see its log; a full disk is often the cause"),
        (507, "has a full disk: .*; free space there"),
        (404, "refuses (404)"),
    ],
)
def test_a_store_that_takes_no_artifacts_is_known_before_the_work(remote, status, said):
    remote.fails = lambda method, path: status if method == "PUT" else None
    message = opened()
    assert message.startswith(f"the tracking server http://127.0.0.1:{remote.server_port} ")
    start, _, rest = said.partition(": .*")
    assert start in message
    assert rest.strip("; ") in message
    (run,) = mlflow.search_runs(["1"], output_format="list")
    assert run.info.status == "FAILED"


def test_artifacts_that_come_back_changed_are_known_before_the_work(remote):
    def damage(method, path):
        remote.files = {name: b"x" for name in remote.files}

    remote.fails = damage
    assert "do not come back as they were sent" in opened()


def test_trying_a_store_leaves_nothing_there(remote):
    with tracking.tracked_run("score", "s") as run_id:
        assert mlflow.MlflowClient().list_artifacts(run_id) == []
    assert remote.requests[0].startswith("PUT")
    assert remote.files == {}


def test_a_user_is_named_and_the_password_is_not(remote, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    for status, said in ((401, "does not accept the password of ann (401)"), (403, "forbids this to ann (403)")):
        remote.fails = lambda method, path, status=status: status
        message = opened()
        assert said in message
        assert "s3cret" not in message


def test_a_deleted_experiment_is_said(store, monkeypatch):
    client = mlflow.MlflowClient()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "gone")
    number = client.create_experiment("gone")
    client.delete_experiment(number)
    assert "has deleted the experiment" in opened()
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    message = opened()
    assert "has deleted the experiment" in message
    assert "mlflow experiments restore" in message


def test_a_package_that_a_store_needs_is_named(store, monkeypatch):
    try:
        import boto3  # noqa: F401
    except ImportError:
        mlflow.MlflowClient().create_experiment("s3", "s3://bucket/x")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "s3")
        message = opened()
        assert "needs boto3 for its artifacts" in message
        assert ".venv/bin/pip install boto3" in message
    else:
        pytest.skip("boto3 is installed here")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/store/mlruns/0/x"), "the folder /store/mlruns/0 has a full disk"),
        (OSError(30, "Read-only file system", "/store/mlruns/0/x"), "the folder /store/mlruns/0 cannot be written"),
        (type("ClientError", (Exception,), {})("An error occurred (NoSuchBucket)"), "refuses: .*NoSuchBucket"),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), "Unable to locate credentials"),
    ],
)
def test_errors_of_every_kind_of_store_are_one_line(store, monkeypatch, error, said):
    with tracking.tracked_run("score", "s") as run_id:
        Path("arrays").mkdir()
        Path("arrays/a.npy").write_bytes(b"1")

        def fail(*_):
            raise error

        monkeypatch.setattr(LocalArtifactRepository, "log_artifact", fail)
        with pytest.raises(TrackingError, match=said) as caught:
            tracking.log_folder(run_id, Path("arrays"))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_named(store):
    Path("mlflow.db").chmod(0o444)
    assert "cannot be written" in opened()


def test_a_page_that_explains_an_error_is_not_taken_for_the_server(store):
    told = "(sqlite3.OperationalError) database or disk is full [SQL: INSERT] (see https://sqlalche.me/e/20/e3q8)"
    with pytest.raises(TrackingError, match="the store /.*mlflow.db has a full disk: .* is full; free"), in_one_line():
        raise mlflow.MlflowException(told)


def test_what_the_user_gave_is_no_error_of_the_store():
    with pytest.raises(ValueError, match="trials is 0"), in_one_line():
        raise ValueError("trials is 0")


def test_what_went_wrong_before_is_not_taken_for_the_cause(store):
    @in_one_line()
    def close():
        raise OSError(28, "No space left on device", "/x/y")

    try:
        raise ModuleNotFoundError("No module named 'antlers'")
    except ModuleNotFoundError:
        with pytest.raises(TrackingError) as caught:
            close()
    assert "antlers" not in str(caught.value)


def test_a_folder_is_sent_several_files_at_a_time(remote, tmp_path):
    for number in range(40):
        place = tmp_path / "report" / ("figures" if number % 2 else "tables")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.csv").write_text(str(number))
    wait = threading.Event()

    def slowly(method, path):
        wait.wait(0.02)

    with tracking.tracked_run("report", "r") as run_id:
        remote.fails = slowly
        tracking.log_folder(run_id, tmp_path / "report")
        remote.fails = lambda method, path: None
        sent = {item.path for item in mlflow.MlflowClient().list_artifacts(run_id, "figures")}
        assert sent == {f"figures/{number}.csv" for number in range(1, 40, 2)}
    assert remote.most_at_once > 4


def test_a_folder_that_fails_half_way_is_an_error_and_stops(remote, tmp_path):
    (tmp_path / "arrays").mkdir()
    for number in range(100):
        (tmp_path / "arrays" / f"{number:03}.npy").write_bytes(b"1")
    with tracking.tracked_run("score", "s") as run_id:
        remote.requests.clear()
        remote.fails = lambda method, path: 413 if path.endswith("002.npy") else None
        with pytest.raises(TrackingError, match="takes no upload of this size"):
            tracking.log_folder(run_id, tmp_path / "arrays", "losses")
        assert len(remote.requests) < 60


class _Locked(BaseHTTPRequestHandler):
    """A server with a login that nobody has, and a page for it."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401)
        body = b"<html><title>401</title><p>You are not authenticated.</p></html>"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *words):
        pass


def test_a_password_in_the_address_is_handed_on_and_never_shown(monkeypatch, capfd):
    # Set first, so that they are as before at the end.
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Locked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host = f"127.0.0.1:{server.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:s3cr%40t@{host}")
        try:
            message = opened()
            assert os.environ["MLFLOW_TRACKING_URI"] == f"http://{host}"
        finally:
            server.shutdown()
            thread.join()
            mlflow.set_tracking_uri(None)
    assert message.startswith(f"the tracking server http://{host} does not accept the password of ann (401)")
    assert "You are not authenticated" in message
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "s3cr@t"
    assert "s3cr" not in message + "".join(capfd.readouterr())
