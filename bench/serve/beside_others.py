#!/usr/bin/env python3
"""Our server beside others that people use, in turns: same model, same texts, a core for the server and one for `breakeven load`.

usage: beside_others.py BREAKEVEN MODEL_FOLDER [--texts REVIEWS.jsonl] [--max-length 128] [--time 12] [--rounds 2] [--journal OUT.jsonl]
                        [--fastapi PYTHON] [--infinity PYTHON] [--triton PYTHON]
MODEL_FOLDER: a checkpoint that all of them read. PYTHON: of an environment that has fastapi, uvicorn and transformers; infinity-emb[server]; or
nvidia-pytriton and transformers, each with torch. A server whose environment is not given is left out.
The texts are the first words of reviews, all shorter than --max-length, so that nobody cuts one (Infinity cannot be told where to).
Each turn: how many it answers when texts always wait; at 5 requests a second, how long one takes; at far more than it can do, how many it still
answers within 5 s. Prints a table, and ratios within a round.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent / "others"
SERVER_CPU, CLIENT_CPU = "0", "1"
QUIET, FLOOD = 5, 600  # requests a second
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def short_texts(path, count, max_length, folder):
    """So few words that they are surely fewer than max_length tokens."""
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    short = [" ".join(text.split()[:max_length // 2]) for text in texts][:count]
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in short))
    return file


def servers(options, port):
    """name -> command, path, precision"""
    def ours(precision):
        return [options.breakeven, "serve", "--model", options.model, "--device", "cpu", "--threads", "1", "--precision", precision,
                "--max-length", str(options.max_length), "--p99", "2s", "--listen", f"127.0.0.1:{port}"], "", precision
    arguments = [options.model, str(options.max_length), str(port)]
    every = {f"breakeven {precision}": ours(precision) for precision in options.precision.split(",")}
    if options.fastapi:
        every["FastAPI + transformers"] = [options.fastapi, str(HERE / "fastapi_transformers.py"), *arguments], "/predict", "fp32"
    if options.infinity:
        every["Infinity"] = [str(pathlib.Path(options.infinity).parent / "infinity_emb"), "v2", "--model-id", options.model, "--engine", "torch", "--device", "cpu",
                             "--dtype", "float32", "--no-bettertransformer", "--no-model-warmup", "--port", str(port), "--host", "127.0.0.1"], "/classify", "fp32"
    if options.triton:
        every["Triton by PyTriton"] = [options.triton, str(HERE / "triton_transformers.py"), *arguments], "/v2/models/classifier/infer", "fp32"
    return every


def wait_until_it_answers(process, port, within_s=120):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        for path in ("/readyz", "/health", "/v2/models/classifier/ready"):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
        time.sleep(0.2)
    raise RuntimeError(f"nobody answers after {within_s} s")


def load(options, url, precision, rate, seconds, journal, *more):
    command = ["taskset", "-c", CLIENT_CPU, options.breakeven, "load", url, "--rate", str(rate), "--time", f"{seconds}s", "--precision", precision,
               "--device", "cpu", "--max-length", str(options.max_length), "--timeout", "5s", "--texts", str(options.short), "--count", str(options.count), "--journal", str(journal), *more]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode not in (0, 3):
        raise RuntimeError(run.stderr)
    return json.loads(journal.read_text().splitlines()[-1]), run.stderr


def turn(options, name, command, path, precision, port, folder, first):
    journal = folder / "journal.jsonl"
    log = open(folder / "log.txt", "w")
    environment = {**os.environ, **ONE_THREAD, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    begin = time.monotonic()
    process = subprocess.Popen(["taskset", "-c", SERVER_CPU, *command], stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        wait_until_it_answers(process, port)
        ready_s = time.monotonic() - begin
        url = f"http://127.0.0.1:{port}{path}"
        # Labelling the texts to compare takes of this time, too.
        compared = ("--model", options.model) if first else ()
        quiet, told = load(options, url, precision, QUIET, options.time * (2 if first else 1), journal, *compared)
        flood, _ = load(options, url, precision, FLOOD, options.time, journal)
        if quiet["paced"]["answered"] < 10:
            raise RuntimeError("too few answers in its time: give a longer --time")
        if options.journal:
            with open(options.journal, "a") as out:
                out.write(journal.read_text())
        parity = quiet.get("parity")
        most = re.search(r"it answers ([\d.,]+)/s", told)[1].replace(",", "")
        return {"ready_s": ready_s, "p50_ms": 1e3 * statistics.median(quiet["samples_s"]), "most_per_s": float(most),
                "in_time_per_s": flood["paced"]["answered"] / flood["paced"]["window_s"], "flips": (parity["flips"], parity["texts"]) if parity else None}
    except (RuntimeError, KeyError) as error:
        log.flush()
        print(f"{name}: {error}\n{(folder / 'log.txt').read_text()[-1500:]}", file=sys.stderr)
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.close()


def spread(values, digits):
    low, high = min(values), max(values)
    return f"{low:.{digits}f}" if f"{low:.{digits}f}" == f"{high:.{digits}f}" else f"{low:.{digits}f}-{high:.{digits}f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("breakeven")
    parser.add_argument("model")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--texts", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "data" / "reviews.jsonl")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--precision", default="fp32,int8", help="of ours")
    parser.add_argument("--time", type=int, default=12, help="seconds of each load")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--journal")
    for other in ("fastapi", "infinity", "triton"):
        parser.add_argument(f"--{other}")
    options = parser.parse_args()
    options.breakeven = str(pathlib.Path(options.breakeven).resolve())
    texts = tempfile.TemporaryDirectory()
    options.short = short_texts(options.texts, options.count, options.max_length, pathlib.Path(texts.name))
    seen = {}
    port = 18_200
    for number in range(options.rounds):
        for name in list(servers(options, 0)):
            port += 10
            command, path, precision = servers(options, port)[name]
            with tempfile.TemporaryDirectory() as folder:
                result = turn(options, name, command, path, precision, port, pathlib.Path(folder), number == 0)
            print(f"round {number + 1}, {name}: {result}", file=sys.stderr, flush=True)
            seen.setdefault(name, []).append(result)
    base = seen[next(iter(seen))]
    print(f"| | ready after | p50 at {QUIET}/s | answers/s when texts always wait | times that of {next(iter(seen))} | answered within 5 s at {FLOOD}/s "
          "| labels that are not those of fp32 here |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, results in seen.items():
        pairs = [(mine, ours) for mine, ours in zip(results, base) if mine and ours]
        if not pairs:
            print(f"| {name} | did not run | | | | | |")
            continue
        results = [mine for mine, _ in pairs]
        flips = next((result["flips"] for result in results if result["flips"]), None)
        print(f"| {name} | {spread([r['ready_s'] for r in results], 1)} s | {spread([r['p50_ms'] for r in results], 1)} ms "
              f"| {spread([r['most_per_s'] for r in results], 1)} | {spread([m['most_per_s'] / o['most_per_s'] for m, o in pairs], 2)} "
              f"| {spread([r['in_time_per_s'] for r in results], 1)}/s "
              f"| {'%d of %d' % flips if flips else 'not compared'} |")


if __name__ == "__main__":
    main()
