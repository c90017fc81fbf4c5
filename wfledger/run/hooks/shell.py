"""Which files a shell command would write, as far as its text says; for refusing early, no more.

What a command really changed is found when its work is handed in. So whatever is not plain here (a
variable, a pattern, a program that nobody knows) writes nothing: a false alarm would stop an agent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEREDOC: Final = re.compile(
    r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1([^\n]*)\n(?:.*?\n)??[ \t]*\2(?=\n|\Z)", re.DOTALL
)
_OPERATOR: Final = re.compile(r"&>>|&>|>>|>\||>&|>|<<<|<<|<&|<|\|\||&&|\|&|\||;;|;|&|\(|\)|\n")
_REDIRECTS: Final = frozenset({">", ">>", ">|", "&>", "&>>"})
#: They end one command and begin another.
_BREAKS: Final = frozenset({"|", "||", "&&", "|&", ";", ";;", "&", "(", ")", "\n"})
#: Characters that make a word something else than its text.
_LIVE: Final = frozenset("$`*?[{")
#: Program -> which of its operands it writes.
_WRITERS: Final = {
    "tee": "all", "rm": "all", "rmdir": "all", "touch": "all", "truncate": "all", "mv": "all",
    "cp": "last", "ln": "last", "install": "last", "rsync": "last", "unlink": "all",
}  # fmt: skip
#: Programs that edit files in place when they are told so.
_EDITORS: Final = frozenset({"sed", "perl", "gsed"})
_PREFIXES: Final = frozenset({"sudo", "command", "env", "nohup", "time", "exec", "builtin"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
_BYTES: Final = 100_000


@dataclass(frozen=True)
class _Token:
    text: str
    is_operator: bool = False
    #: Whether the text is exactly what the program would get.
    is_plain: bool = True


def written(command: str, cwd: Path) -> tuple[Path, ...]:
    """Return the paths that *command*, started in *cwd*, plainly writes or removes."""
    plain = _HEREDOC.sub(r"\3", command[:_BYTES])
    folder: Path | None = cwd
    found: list[Path] = []
    for words in _commands(_tokens(plain)):
        named = [word for word in _targets(words) if word.is_plain and word.text]
        found += [path for word in named if (path := _placed(word.text, folder)) is not None]
        folder = _after(words, folder)
    return tuple(dict.fromkeys(found))


def _placed(text: str, folder: Path | None) -> Path | None:
    if text.startswith("~"):
        return Path(text).expanduser() if text[1:2] in {"", "/"} else None
    path = Path(text)
    if path.is_absolute():
        return path
    return None if folder is None else folder / path


def _after(words: list[_Token], folder: Path | None) -> Path | None:
    """Return the folder that the next command is started in; None where that is not plain."""
    if not words or words[0].text not in {"cd", "pushd"}:
        return folder
    if len(words) != 2 or not words[1].is_plain or words[1].text == "-":
        return None
    return _placed(words[1].text, folder)


def _targets(words: list[_Token]) -> Iterator[_Token]:
    """Yield what one command writes: where its output goes, then operands of known programs."""
    operands: list[_Token] = []
    rest = iter(words)
    for word in rest:
        if not word.is_operator:
            operands.append(word)
        elif word.text in _REDIRECTS or word.text == ">&":
            target = next(rest, None)
            is_file = target is not None and not target.is_operator
            if target is not None and is_file and not _is_descriptor(word, target):
                yield target
        else:
            next(rest, None)  # an input
    yield from _operands(operands)


def _is_descriptor(operator: _Token, target: _Token) -> bool:
    return operator.text == ">&" and (target.text.isdigit() or target.text == "-")


def _operands(words: list[_Token]) -> Iterator[_Token]:
    while words and (words[0].text in _PREFIXES or _ASSIGNMENT.match(words[0].text)):
        words = words[1:]
    if not words:
        return
    program, given = words[0].text.rpartition("/")[2], words[1:]
    names = [word for word in given if not word.text.startswith("-")]
    if program == "dd":
        for word in given:
            if word.text.startswith("of="):
                yield _Token(word.text.removeprefix("of="), is_plain=word.is_plain)
    elif program in _EDITORS:
        if any(re.match(r"-[a-zA-Z]*i|--in-place", word.text) for word in given):
            yield from names[1:]  # the first is the script
    elif _WRITERS.get(program) == "last":
        yield from names[-1:] if len(names) > 1 else ()
    elif program in _WRITERS:
        yield from names


def _commands(tokens: Iterator[_Token]) -> Iterator[list[_Token]]:
    words: list[_Token] = []
    for token in tokens:
        if token.is_operator and token.text in _BREAKS:
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _tokens(text: str) -> Iterator[_Token]:
    """Yield words and operators; what quotes hide is no operator."""
    at = 0
    while at < len(text):
        operator = _OPERATOR.match(text, at)
        if operator is not None:
            yield _Token(operator[0], is_operator=True)
            at = operator.end()
        elif text[at] in " \t\r":
            at += 1
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            word, at = _word(text, at)
            # `2>` is an operator with the number of a descriptor before it.
            if not (word.text.isdigit() and text[at : at + 1] in {">", "<"}):
                yield word


def _word(text: str, at: int) -> tuple[_Token, int]:
    parts: list[str] = []
    is_plain = True
    while at < len(text) and text[at] not in " \t\r\n" and not _OPERATOR.match(text, at):
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end
            parts.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            inner, at = _quoted(text, at + 1)
            is_plain = is_plain and not _LIVE.intersection("$`").intersection(inner)
            parts.append(inner)
        elif char == "\\":
            parts.append(text[at + 1 : at + 2])
            at += 2
        else:
            is_plain = is_plain and char not in _LIVE
            parts.append(char)
            at += 1
    return _Token("".join(parts), is_plain=is_plain), at


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return what is between double quotes, and where it goes on after them."""
    parts: list[str] = []
    while at < len(text) and text[at] != '"':
        step = 2 if text[at] == "\\" else 1
        parts.append(text[at + step - 1 : at + step])
        at += step
    return "".join(parts), at + 1
