"""A headless Chromium over its DevTools pipe: enough to open a page, run a script in it, and take a picture."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 120


def find_chromium():
    """Path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page of a headless browser; a context manager.

    `complaints` holds what the page wrote to its console as an error, and what it failed to load.
    """

    def __init__(self, chromium):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()
        words = [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self._folder.name}",
        ]  # fmt: skip
        # The protocol is spoken on file descriptors 3 and 4.
        shell = f'exec "$0" "$@" 3<&{child_in} 4>&{child_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, *words],
            pass_fds=(child_in, child_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(child_in)
        os.close(child_out)
        self._numbers, self._received, self._session = itertools.count(1), b"", None
        self.complaints, self._downloads = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, TimeoutError, EOFError):
            self._session = None
            self.call("Browser.close")
        os.close(self._out)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._folder.cleanup()

    def call(self, method, **parameters):
        """Call a method of the DevTools protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, address, *, width=1400, height=900, dark=False, media="screen"):
        """Open an address and wait until it has loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE_S
        while self.run("document.readyState + location.href") == "completeabout:blank" or (
            self.run("document.readyState") != "complete"
        ):
            assert time.monotonic() < deadline, f"{address} did not load"
            time.sleep(0.05)

    def run(self, script):
        """Value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys):
        """Press keys one after the other: `k`, `Enter`, `ArrowDown` …"""
        for key in keys:
            text, code = {"Enter": ("\r", 13), "Escape": ("", 27)}.get(key, (key if len(key) == 1 else "", 0))
            for kind, typed in (("keyDown", text), ("keyUp", "")):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, text=typed, windowsVirtualKeyCode=code)

    def download(self, folder, script):
        """Run a script that downloads a file, and return its path in a folder."""
        self._downloads.clear()
        parameters = {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", **parameters)
        self.run(script)
        while not {"completed", "canceled"} & {event.get("state") for event in self._downloads}:
            self._receive()
        assert self._downloads[-1]["state"] == "completed"
        return folder / self._downloads[0]["suggestedFilename"]

    def picture(self, path, *, whole=False):
        """Write a png of what is seen, or of the whole page."""
        content = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(content["data"]))

    def print(self, path):
        """Write the page as a pdf, as a printer would get it."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))

    def _receive(self):
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser has not answered within {PATIENCE_S} s")
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise EOFError("the browser is gone")
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        message = json.loads(message)
        self._listen(message.get("method"), message.get("params", {}))
        return message

    def _listen(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])
        elif method in ("Browser.downloadWillBegin", "Browser.downloadProgress"):
            self._downloads.append(parameters)
        elif method == "Network.loadingFailed":
            self.complaints.append(parameters["errorText"])
