"""A worker of docs/runtimes.md that misbehaves as its file's name says: tests link it as MODE.py. `good` does nothing wrong.

The logits of a text are [its number of characters, -1]; its label is 0, or 1 for an empty one.
"""
import json
import os
import pathlib
import signal
import sys
import time

MODE = pathlib.Path(sys.argv[0]).stem
WHERE, _, WHAT = MODE.partition("-")  # "run-hang": hangs when it is asked to run
TEXTS = []
SPEC = {}


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def misbehave(request):
    """What can go wrong at any request. -> whether it has answered."""
    number = request["id"]
    if WHAT == "die":
        sys.stderr.write("Traceback\nImportError: no such\x1b library\n")
        sys.exit(3)
    elif WHAT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif WHAT == "hang":
        time.sleep(1000)
    elif WHAT == "mute":
        os.close(1)
        time.sleep(1000)
    elif WHAT == "rubbish":
        sys.stdout.write("Downloading shards: 100%\x07\n")
        sys.stdout.flush()
    elif WHAT == "longline":
        block = "x" * (1 << 20)
        for _ in range(300):
            sys.stdout.write(block)
        sys.stdout.flush()
    elif WHAT == "array":
        send([number])
    elif WHAT == "otherid":
        send({"id": number + 1, "ok": {}})
    elif WHAT == "noid":
        send({"ok": {}})
    elif WHAT == "neither":
        send({"id": number})
    elif WHAT == "badprogress":
        send({"id": number, "progress": 7, "what": "x"})
    elif WHAT == "endless":
        while True:
            send({"id": number, "progress": 0.5, "what": "converting"})
            time.sleep(0.01)
    elif WHAT == "unsupported":
        send({"id": number, "error": {"code": "unsupported", "message": "no bf16 here", "hint": "take fp32"}})
    elif WHAT == "refuse":
        send({"id": number, "error": {"code": "out-of-memory", "message": "batch of 7\nis too large", "hint": "take 3"}})
    elif WHAT == "flood":
        for _ in range(3000):
            sys.stderr.write("W " * 500 + "\n")
        sys.stderr.write("the end\n")
        sys.stderr.flush()
        return False
    else:
        return False
    return True


def hello():
    ability = {"device": "cpu", "precision": "fp32", "paddings": ["longest", "max_length"]}
    abilities = [{"variant": "seed", **ability}, {"variant": "tuned", **ability}]
    abilities.append({"variant": "tuned", **ability, "device": "cuda:0"})
    return {"protocol": 3 if WHAT == "version" else 2, "runtime": "other" if WHAT == "name" else MODE, "version": "1.2.3",
            "tokenizer": "letters 1", "abilities": abilities}


def load(request):
    SPEC.update(request)
    for done in (0.25, 0.5, 1):
        send({"id": request["id"], "progress": done, "what": "converting"})
    answer = {"labels": ["some", "none"], "problem": "single_label", "weight_bytes": 1000, "instruction_set": "",
              "settings": {"threads": str(request["threads"]), "model": request["model"]}}
    changes = {"nolabels": {"labels": []}, "labelnumber": {"labels": [1, 2]}, "problem": {"problem": "what"}, "setting": {"settings": {"a": 1}},
               "weights": {"weight_bytes": -1}, "unknown": {"weight_bytes": None}}
    return {**answer, **changes.get(WHAT, {})}


def classify(request):
    start = now()
    texts = [TEXTS[i] for i in request["indices"]]
    tokens = [min(len(text) + 2, SPEC["max_length"]) for text in texts]
    answer = {"logits": [[len(text), -1] for text in texts], "labels": [0 if text else 1 for text in texts],
              "scores": [0.75] * len(texts), "tokens": tokens, "computed_tokens": sum(tokens), "cut": [len(text) + 2 > SPEC["max_length"] for text in texts]}
    if request["op"] == "stream":
        answer["in_flight"] = 0 if WHAT == "inflight" else 1
    changes = {
        "shortlogits": {"logits": answer["logits"][1:]}, "widerow": {"logits": [[1, 2, 3]] * len(texts)}, "flatlogits": {"logits": [1] * len(texts)},
        "textlogit": {"logits": [["1", 2]] * len(texts)}, "nan": {"logits": [[None, 1e300]] * len(texts), "scores": [None] * len(texts)},
        "label": {"labels": [2] * len(texts)}, "labelsign": {"labels": [-1] * len(texts)}, "labelhalf": {"labels": [0.5] * len(texts)},
        "score": {"scores": [1.5] * len(texts)}, "tokens": {"tokens": [SPEC["max_length"] + 1] * len(texts)},
        "computed": {"computed_tokens": 0}, "cutnumber": {"cut": [0] * len(texts)}, "fewscores": {"scores": []}}
    answer.update(changes.get(WHAT, {}))
    if WHAT == "missing":
        del answer["tokens"]
    end = now()
    stages = dict.fromkeys(("tokenize", "pack", "upload", "compute", "download", "decode"), 0.0)
    stages["compute"] = end - start
    if WHAT == "sum":
        stages["tokenize"] = 1.0
    elif WHAT == "stage":
        stages["tokenize"] = -1e-3
    elif WHAT == "nostage":
        del stages["pack"]
    elif WHAT == "early":
        start -= 10
    elif WHAT == "late":
        end += 10
    elif WHAT == "backwards":
        start, end = end + 1, start
    elif WHAT == "wallclock":
        start, end = start + 1.7e9, end + 1.7e9
    return {**answer, "start_s": start, "end_s": end, "stages": stages}


def handle(request):
    operation = request["op"]
    if operation == "hello":
        return hello()
    if operation == "load":
        return load(request)
    if operation == "texts":
        TEXTS.extend(request["texts"])
        asked = request.get("hash_ids", False)
        if asked and WHAT == "unasked":
            sys.exit(3)
        ids = {"ids": [len(text) for text in request["texts"]]} if asked and WHAT == "ids" else {}
        return {"count": len(TEXTS) + (WHAT == "count"), **ids}
    if operation in ("run", "stream"):
        return classify(request)
    if operation == "memory":
        with open("/proc/self/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
        return {"peak_rss_bytes": peak, "device_peak_bytes": 5 if SPEC.get("device") != "cpu" else None}
    return {}


if WHAT == "hang":
    sys.stderr.write("thinking\n")
    sys.stderr.flush()
for read in sys.stdin:
    asked = json.loads(read)
    if asked["op"] == WHERE and misbehave(asked):
        continue
    send({"id": asked["id"], "ok": handle(asked)})
    if asked["op"] == "shutdown":
        if "LAST_WILL" in os.environ:
            pathlib.Path(os.environ["LAST_WILL"]).write_text("ended in order\n", encoding="ascii")
        break
