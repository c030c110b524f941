"""A headless Chromium over its DevTools protocol, spoken through two pipes: one JSON message after the other, each ended by a NUL."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find():
    """The program's path: $BREAKEVEN_CHROMIUM, or a known name on PATH; None without one."""
    chosen = os.environ.get("BREAKEVEN_CHROMIUM")
    return chosen or next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    def __init__(self, program, timeout_s=3600):
        self.timeout_s = timeout_s
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4. The sandbox needs rights that root in a container does not have.
        flags = ["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--no-first-run", f"--user-data-dir={self.profile.name}", "about:blank"]
        self.log = open(pathlib.Path(self.profile.name) / "log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", program, *flags],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(to_browser)
        os.close(from_browser)
        self.pending, self.events, self.number, self.session, self.size = b"", [], 0, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close", session=False)
        except (OSError, RuntimeError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.input, self.output):
            os.close(descriptor)
        self.log.close()
        self.profile.cleanup()

    def receive(self, until):
        while b"\0" not in self.pending:
            os.set_blocking(self.input, False)
            try:
                piece = os.read(self.input, 1 << 20)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise RuntimeError("the browser does not answer") from None
                time.sleep(0.005)
                continue
            if not piece:
                self.log.seek(0)
                raise RuntimeError("the browser has ended: " + self.log.read()[-1000:])
            self.pending += piece
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, session=True, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session and self.session:
            message["sessionId"] = self.session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self.output, rest):]
        until = time.monotonic() + self.timeout_s
        while True:
            answer = self.receive(until)
            if answer.get("id") != self.number:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def open(self, path, width=1280, height=900, dark=False, script=True):
        """A page of its own, of a file or an http:// address, loaded to the end; what it said goes to `complaints`."""
        target = self.send("Target.createTarget", session=False, url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", session=False, targetId=target, flatten=True)["sessionId"]
        self.events = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(domain + ".enable")
        self.size = (width, height)
        self.view(width, height)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        url = path if str(path).startswith("http://") else pathlib.Path(path).absolute().as_uri()
        self.send("Page.navigate", url=url)
        until = time.monotonic() + self.timeout_s
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive(until))
        if script:
            self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")

    def evaluate(self, expression):
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def complaints(self):
        """Errors of scripts, what the console and the log say, and dialogs."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
        return [event for event in self.events if event.get("method") in kinds]

    def requests(self):
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def screenshot(self, path, selector=None):
        """What is in view; of an element: all of it, the view grown to hold it."""
        more = {}
        if selector:
            width, height = self.size
            self.view(width, max(height, self.evaluate("document.documentElement.scrollHeight")))
            self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")
            box = self.evaluate(f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                                "return {x: box.x, y: box.y, width: box.width, height: box.height, scale: 1}; })()")
            more["clip"] = box
        image = self.send("Page.captureScreenshot", format="png", **more)
        pathlib.Path(path).write_bytes(base64.b64decode(image["data"]))
        if selector:
            self.view(width, height)

    def view(self, width, height):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)

    def pdf(self):
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])
