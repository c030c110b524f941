"""What goes wrong, as exceptions."""
import re

_ARGUMENTS = ("flag/", "device/unknown", "device/one", "device/twice", "precision/unknown", "engine/max-length", "engine/batch", "engine/threads", "arrow/utf8")


class Error(RuntimeError):
    """The engine refused or failed. `code` names the cause for programs ("device/no-engine"), `hint` says what to try."""

    def __init__(self, code, message, hint=""):
        super().__init__(f"{message}; {hint}" if hint else message)
        self.code = code
        self.hint = hint

    def __reduce__(self):
        return _again, (type(self), self.code, self.args[0], self.hint)


class ArgumentError(Error, ValueError):
    """An argument has a value that cannot be."""


def _again(kind, code, message, hint):
    error = kind(code, message)
    error.hint = hint
    return error


def _in_python(text):
    """`--max-length 512`, as the program says it, is `max_length=512` here."""
    if text.startswith("pip "):  # its flags stay
        return text
    return re.sub(r"--([a-z][a-z-]*)(?: (?=[\w']))?", lambda flag: flag[1].replace("-", "_") + ("=" if flag[0].endswith(" ") else ""), text)


def make(code, message, hint):
    kind = ArgumentError if code.startswith(_ARGUMENTS) else TypeError if code == "arrow/type" else Error
    if kind is TypeError:
        return TypeError(f"{message}; {hint}")
    return kind(code, _in_python(message), _in_python(hint))
