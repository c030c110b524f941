#!/usr/bin/env python3
"""Three machines by network namespaces, a Ray node in each; the link of one is cut in the middle of a job. As root, Linux.

usage: cut_link.py PROGRAM [--runs N] [--seed N]     with a Python that has ray; prints a table; exit 1: something was lost; 77: no namespaces here

One namespace has the head and the driver, two have a worker each. In half of the runs the link comes back after a while: the worker behind it, which went
on with its shard, then meets a shard that another one did. Afterwards all is as after kill_list.py's runs.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kill_list import HERE, LIMIT_S, QUIET, Bench, texts  # noqa: E402

BRIDGE, NETWORK, PORT = "breakeven0", "10.213.77", 6399


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, stderr=subprocess.PIPE, encoding="utf-8")


class Machines:
    """Namespaces breakeven-0 ... on one bridge, each with an address."""

    def __init__(self, count):
        self.names = [f"breakeven-{i}" for i in range(count)]

    def __enter__(self):
        self.remove()
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for i, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("link", "add", f"bev{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"bev{i}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{i + 1}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        return self

    def remove(self):
        for i, name in enumerate(self.names):
            pids = subprocess.run(["ip", "netns", "pids", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", check=False).stdout.split()
            for pid in pids:  # Ray's own, which this script started
                subprocess.run(["kill", "-9", pid], stderr=subprocess.DEVNULL, check=False)
            ip("netns", "del", name, check=False)
            ip("link", "del", f"bev{i}", check=False)
        ip("link", "del", BRIDGE, check=False)

    def __exit__(self, *_):
        self.remove()

    def inside(self, i, *command):
        return ["ip", "netns", "exec", self.names[i], *map(str, command)]

    def link(self, i, state):
        ip("link", "set", f"bev{i}", state)


class OnMachines(Bench):
    """kill_list's bench, whose nodes are in namespaces."""

    def __init__(self, program, folder, options, machines):
        self.program, self.folder, self.options, self.machines = os.path.abspath(program), pathlib.Path(folder), options, machines
        self.inputs = str(self.folder / "in.jsonl")
        texts(self.inputs)
        self.expected = subprocess.run([self.program, "classify", "--model", "builtin-narrow", "--device", "cpu", self.inputs], check=True,
                                       stdout=subprocess.PIPE).stdout
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", "--object-store-memory", "80000000"]
        self.run_in(0, *ray, "--head", "--port", PORT, "--node-ip-address", f"{NETWORK}.1", "--num-cpus", "0", "--include-dashboard", "false")
        for i in (1, 2):
            self.run_in(i, *ray, "--address", f"{NETWORK}.1:{PORT}", "--node-ip-address", f"{NETWORK}.{i + 1}", "--num-cpus", "1")

    def run_in(self, i, *command):
        subprocess.run(self.machines.inside(i, *command), check=True, stdout=subprocess.DEVNULL)

    def start(self, out, program=None, patience=5, **environment):
        command = self.machines.inside(0, sys.executable, HERE, "--drive", f"{NETWORK}.1:{PORT}", out, self.inputs, program or self.program, patience)
        return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, **environment})

    def cut_link(self, out, chance, comes_back):
        driver = self.start(out)
        self.wait_for(out, chance.randint(2, 25), driver)
        before = self.finished(out)
        self.machines.link(2, "down")
        if comes_back:
            time.sleep(chance.uniform(1, 20))
            self.machines.link(2, "up")
        report = self.end(driver)
        self.check(out, before)
        return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.update(QUIET, PYTHONPATH=str(HERE.parents[3] / "python"), RAY_health_check_period_ms="1000", RAY_health_check_timeout_ms="1000",
                      RAY_health_check_failure_threshold="3")
    tried = ip("netns", "add", "breakeven-try", check=False)
    if tried.returncode:
        print(f"SKIPPED: no network namespaces ({tried.stderr.strip()})")
        return 77
    ip("netns", "del", "breakeven-try")
    failed = False
    print("| what happens | runs | every id once | attempts lost | seconds, median and most |\n|---|--:|--:|--:|--:|", flush=True)
    for comes_back in (False, True):
        good, lost, took = 0, 0, []
        for run in range(options.runs):
            with tempfile.TemporaryDirectory(prefix="breakeven-cut-") as folder, Machines(3) as machines:
                try:
                    bench = OnMachines(options.program, folder, options, machines)
                    begin = time.monotonic()
                    report = bench.cut_link(bench.folder / "out", random.Random(f"{options.seed} {comes_back} {run}"), comes_back)
                    good, lost = good + 1, lost + report["lost"]
                    took.append(time.monotonic() - begin)
                except Exception as error:  # noqa: BLE001: the table tells of all runs
                    failed = True
                    print(f"run {run}: {type(error).__name__}: {str(error)[:2000]}", file=sys.stderr, flush=True)
        took = sorted(took) or [LIMIT_S]
        what = "a node's link is cut" + (" for 1 to 20 s" if comes_back else "")
        print(f"| {what} | {options.runs} | {good} of {options.runs} | {lost} | {took[len(took) // 2]:.0f}, {took[-1]:.0f} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
