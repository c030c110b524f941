"""RoBERTa's tokenizer of vocab.json and merges.txt, where a model has no tokenizer.json, as Transformers 4 converts it. Tokens that
files beside these add are left out: a row whose ids differ says so (note `ids`)."""
import json

DEFAULTS = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def is_there(folder):
    return (folder / "vocab.json").exists() and (folder / "merges.txt").exists()


def load(folder):
    """-> a tokenizers.Tokenizer without truncation or padding."""
    import tokenizers  # pylint: disable=import-outside-toplevel
    from tokenizers import models, pre_tokenizers, processors  # pylint: disable=import-outside-toplevel
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = {role: told.get(role) or name for role, name in DEFAULTS.items()}
    names = {role: name["content"] if isinstance(name, dict) else name for role, name in names.items()}
    blank = bool(told.get("add_prefix_space", False))
    tokenizer = tokenizers.Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=blank)
    tokenizer.add_special_tokens([tokenizers.AddedToken(name, lstrip=role == "mask_token", normalized=False, special=True)
                                  for role, name in names.items()])
    around = [(names[role], tokenizer.token_to_id(names[role])) for role in ("sep_token", "cls_token")]
    tokenizer.post_processor = processors.RobertaProcessing(*around, add_prefix_space=blank)
    return tokenizer
