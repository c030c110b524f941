"""A worker of docs/runtimes.md that computes nothing: it sleeps as long as a machine of two speeds would take, 1.4x apart.

All workers of a run share one machine: its stays in a speed follow from $MACHINE_SEED and count from $MACHINE_START_S on. A text
takes WORK_S at the quick speed. What is reported is the planned end of a batch, so that no late waking shows in it.
"""
import json
import os
import random
import sys
import time

WORK_S, STAY_S = 0.01, (1.0, 3.0)
SLOW = 1.4
RANDOM = random.Random(int(os.environ["MACHINE_SEED"]))
BEGIN_S = float(os.environ["MACHINE_START_S"])
ENDS = []  # of the stays, one speed after the other
FIRST = RANDOM.randrange(2)
TEXTS, SPEC = [], {}


def stay_at(moment):
    """-> the number of the stay that holds this moment."""
    while not ENDS or ENDS[-1] <= moment:
        ENDS.append((ENDS[-1] if ENDS else BEGIN_S) + RANDOM.uniform(*STAY_S))
    return next(i for i, end in enumerate(ENDS) if moment < end)


def end_of(start, work):
    """When work is done that takes so long at the quick speed."""
    moment = start
    while True:
        stay = stay_at(moment)
        slowness = SLOW if (stay + FIRST) % 2 else 1
        needed = work * slowness
        if moment + needed <= ENDS[stay]:
            return moment + needed
        work -= (ENDS[stay] - moment) / slowness
        moment = ENDS[stay]


def classify(request):
    start = time.monotonic()
    indices = request["indices"]
    end = end_of(start, WORK_S * len(indices))
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)
    tokens = [min(len(TEXTS[i]) + 2, SPEC["max_length"]) for i in indices]
    answer = {"logits": [[1, -1]] * len(indices), "labels": [0] * len(indices), "scores": [0.75] * len(indices), "tokens": tokens,
              "computed_tokens": sum(tokens), "cut": [len(TEXTS[i]) + 2 > SPEC["max_length"] for i in indices], "start_s": start, "end_s": end,
              "stages": dict.fromkeys(("tokenize", "pack", "upload", "download", "decode"), 0) | {"compute": end - start}}
    return answer | ({"in_flight": 1} if request["op"] == "stream" else {})


def handle(request):
    operation = request["op"]
    if operation == "hello":
        ability = {"device": "cpu", "precision": "fp32", "paddings": ["longest"]}
        return {"protocol": 2, "runtime": "pytorch", "version": "1", "tokenizer": "letters",
                "abilities": [{"variant": name, **ability} for name in ("seed", "tuned")]}
    if operation == "load":
        SPEC.update(request)
        return {"labels": ["NEGATIVE", "POSITIVE"], "problem": "single_label", "weight_bytes": 1, "instruction_set": "", "settings": {}}
    if operation == "texts":
        TEXTS.extend(request["texts"])
        return {"count": len(TEXTS)}
    if operation in ("run", "stream"):
        return classify(request)
    if operation == "memory":
        return {"peak_rss_bytes": 1, "device_peak_bytes": None}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "ok": handle(asked)}), flush=True)
    if asked["op"] == "shutdown":
        break
