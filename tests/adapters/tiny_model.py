"""Folders of tiny classifiers: a model of tests/golden/model with the words of tests/adapters/golden."""
import json
import pathlib
import shutil

MAX_LENGTH = 40  # tokens that fit each of them
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


def make(folder, model, words, without=()):
    """`folder`, which is there, gets what a checkpoint has but for `without`."""
    folder, words = pathlib.Path(folder), pathlib.Path(words)
    for path in (*model.iterdir(), words / "vocab.txt", words / "tokenizer.json"):
        if path.name not in (*without, "golden.safetensors"):
            shutil.copy(path, folder)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] in ("bert", "distilbert"):
        return
    # Other types would get another kind of tokenizer from Transformers: this names the file's own.
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | SPECIAL))
    (folder / "vocab.txt").unlink(missing_ok=True)
    if (folder / "tokenizer.json").exists():
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        place_pad(tokenizer, config["pad_token_id"])
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def place_pad(tokenizer, pad):
    """[PAD], which is id 0, changes places with the word of that id."""
    vocabulary = tokenizer["model"]["vocab"]
    other = next(word for word, index in vocabulary.items() if index == pad)
    vocabulary["[PAD]"], vocabulary[other] = pad, vocabulary["[PAD]"]
    for token in tokenizer["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
