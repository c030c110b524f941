"""Writes down what the text-classification pipeline of Hugging Face Transformers answers to calls of every shape.

usage: make_pipeline_goldens.py [OUT.json]      needs: torch, transformers

OUT.json (tests/python/pipeline_golden.json): `transformers`, and `cases`, each with
  model      a folder below tests/golden/pairs; problem_type: put into a copy of its config.json, or null
  made       what pipeline() is given; call: what the pipeline is called with
  inputs     a str, a dict or a list; generator: whether it is handed over one by one
  answer     scores with seven digits; or error: the name of the exception
"""
import itertools
import json
import pathlib
import shutil
import sys
import tempfile

import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAIRS = ROOT / "tests" / "golden" / "pairs"
MODELS = (("bert_nli", None), ("bert_nli", "multi_label_classification"), ("distilbert_reranker", None), ("distilbert_reranker", "regression"),
          ("roberta_nli", None))
TEXTS = ["A good film.", "", "The story was very long, dull and slow!"]
INPUTS = (TEXTS[0], TEXTS[1], TEXTS, [TEXTS[0]], {"text": TEXTS[0]}, {"text": TEXTS[0], "text_pair": TEXTS[2]}, [{"text": text} for text in TEXTS],
          [{"text": TEXTS[0], "text_pair": text} for text in TEXTS], [TEXTS[0], {"text": TEXTS[2], "text_pair": ""}], [])
TOP = ({}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}, {"top_k": 10})
FUNCTIONS = ({}, {"function_to_apply": "sigmoid"}, {"function_to_apply": "softmax"}, {"function_to_apply": "none"})


def rounded(answer):
    if isinstance(answer, list):
        return [rounded(each) for each in answer]
    return answer | {"score": round(answer["score"], 7)}


def cases(name, problem_type, pipes):
    def case(made, call, inputs, generator=False):
        made_for = json.dumps(made)
        if made_for not in pipes:
            pipes[made_for] = transformers.pipeline("text-classification", model=str(pipes["folder"]), device="cpu", **made)
        spec = {"model": name, "problem_type": problem_type, "made": made, "call": call, "inputs": inputs, "generator": generator}
        try:
            answer = pipes[made_for](iter_of(inputs) if generator else inputs, **call)
            return spec | {"answer": rounded(list(answer) if generator else answer)}
        except Exception as error:
            return spec | {"error": type(error).__name__}

    full = problem_type is None and name == "bert_nli"
    for inputs, top in itertools.product(INPUTS, TOP):
        if full or top in ({}, {"top_k": 2}):
            yield case({}, top, inputs)
    for inputs, top in itertools.product((TEXTS[0], TEXTS), TOP[1:] if full else ()):
        yield case(top, {}, inputs)
        yield case(top, {"top_k": 1}, inputs)
    for function, top in itertools.product(FUNCTIONS[1:], TOP[:3:2]):
        yield case({}, function | top, TEXTS)
        yield case(function, top, TEXTS[0])
    for top in TOP[:3]:
        yield case({}, top, TEXTS, generator=True)
    yield case({}, {"truncation": True}, "the film " * 100)
    yield case({}, {"batch_size": 2, "padding": True}, TEXTS)


def iter_of(texts):
    return (text for text in texts)


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "python" / "pipeline_golden.json"
    found = []
    for name, problem_type in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder) / name
            shutil.copytree(PAIRS / name, folder)
            config = json.loads((folder / "config.json").read_text())
            if problem_type:
                (folder / "config.json").write_text(json.dumps(config | {"problem_type": problem_type}))
            found += cases(name, problem_type, {"folder": folder})
    lines = ",\n".join(json.dumps(case) for case in found)
    out.write_text(f'{{"transformers": "{transformers.__version__}", "cases": [\n{lines}\n]}}\n')
    print(f"{out}: {len(found)} cases, {sum('error' in case for case in found)} of them errors, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
