"""A small server of artifacts, for stores of a test: it keeps what it is sent, and fails as it is told."""

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import mlflow

ROOT = "/api/2.0/mlflow-artifacts/artifacts"


class ArtifactServer(ThreadingHTTPServer):
    """Files by path, the requests so far, and `fails`: the status with which a request is refused, or None."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.fails: Callable[[str, str], int | None] = lambda method, path: None
        self.at_once, self.most_at_once = 0, 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{ROOT}"

    def names(self) -> list[str]:
        return sorted({PurePosixPath(path).name for path in self.files})


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        path = unquote(parts.path).removeprefix(ROOT).strip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server.lock:
            server.requests.append(f"{self.command} {path}")
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        status, content = server.fails(self.command, path), b"refused"
        if status is None:
            content = self._serve(path, body, parse_qs(parts.query).get("path", [""])[0])
            status = 404 if content is None else 200
        with server.lock:
            server.at_once -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    do_GET = do_PUT = do_DELETE = _answer

    def _serve(self, path: str, body: bytes, folder: str) -> bytes | None:
        files = self.server.files
        if self.command == "PUT":
            files[path] = body
            return b"{}"
        if self.command == "DELETE":
            for name in [name for name in files if name == path or name.startswith(f"{path}/")]:
                del files[name]
            return b"{}"
        if path:
            return files.get(path)
        prefix = f"{folder.strip('/')}/"
        below = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        folders = {name.split("/")[0] for name in below if "/" in name}
        listed = [{"path": name, "is_dir": name in folders} for name in {name.split("/")[0] for name in below}]
        return json.dumps({"files": listed}).encode()

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def artifact_server(experiment="elsewhere"):
    """A server that has the artifacts of a new experiment of the current store."""
    with ArtifactServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        mlflow.MlflowClient().create_experiment(experiment, f"{server.address}/{experiment}")
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
