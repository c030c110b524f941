"""An adapter's process, talked to by hand."""
import json
import subprocess
import sys
import tempfile


class Worker:
    def __init__(self, script, interpreter=sys.executable, env=None):
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([interpreter, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, env=env)
        self.id = 0
        self.progress = []

    def send_line(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def reply(self, operation, **fields):
        """-> {"ok": ..} or {"error": ..}; the progress lines before it are kept in self.progress."""
        self.id += 1
        self.process.stdin.write(json.dumps({"id": self.id, "op": operation, **fields}) + "\n")
        self.process.stdin.flush()
        self.progress = []
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.log.seek(0)
                raise AssertionError(f"{operation} ended the worker with {self.process.wait()}: {self.log.read()[-2000:]}")
            answer = json.loads(line)
            assert answer.pop("id") == self.id, line
            if "progress" not in answer:
                return answer
            self.progress.append(answer)

    def ok(self, operation, **fields):
        answer = self.reply(operation, **fields)
        assert "ok" in answer, answer
        return answer["ok"]

    def error(self, operation, **fields):
        answer = self.reply(operation, **fields)
        assert "error" in answer, answer
        return answer["error"]

    def end(self):
        """Closes its stdin -> its exit code."""
        for stream in (self.process.stdin, self.process.stdout, self.log):
            stream.close()
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.process.stdin.closed:
            self.end()
