"""Expressions of plans: whether they are any, which nodes they name, and what they come to.

The language is CEL (spec 91). The one place that knows the package `cel`, which is loaded when the
first expression is checked or worked out. Nothing here bounds what working one out may take: that
is done in a process of its own (`run.controllers.evaluating`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

from wfledger.core.text import clean_line
from wfledger.plans.expressions import LENGTH

#: Brackets and conditional operators within one another; the parser needs a stack for each.
DEPTH: Final = 32
#: Characters of what the package says that are passed on.
_SHOWN: Final = 400
#: What an expression may name besides nodes.
VARIABLES: Final = frozenset({"results", "round", "item", "index", "run"})
_TYPES: Final = frozenset(
    {"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"}
)
_WORDS: Final = frozenset({"true", "false", "null", "in"})
#: Macros that bind their first argument in the others.
_BINDING: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_FUNCTIONS: Final = frozenset(
    {
        "has", "size", "contains", "startsWith", "endsWith", "matches", "type", "dyn",
        "int", "uint", "double", "string", "bytes", "duration", "timestamp",
        "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
        "getHours", "getMinutes", "getSeconds", "getMilliseconds",
    }
)  # fmt: skip
_HELP: Final = (
    'write an expression such as `results.tests.status == "succeeded"`, or an object with a '
    "`command`, or with a `prompt` for a judge"
)
_DYNAMIC: Final = (
    'reads `results` by something other than a name; write `results.NODE` or `results["NODE"]`, '
    "so that it is known which nodes it waits for"
)
_TOKEN: Final = re.compile(
    r"""
      (?P<space> [ \t\r\n\f]+ | //[^\n]* )
    | (?P<string> [bB]?[rR] (?: '''(?s:.)*?''' | \"\"\"(?s:.)*?\"\"\" | '[^'\r\n]*' | "[^"\r\n]*" )
        | [bB]? (?: '''(?s:\\.|[^\\])*?''' | \"\"\"(?s:\\.|[^\\])*?\"\"\"
        | '(?:\\.|[^'\\\r\n])*' | "(?:\\.|[^"\\\r\n])*" ) )
    | (?P<number> 0x[0-9a-fA-F]+[uU]? | \d*\.\d+(?:[eE][+-]?\d+)? | \d+(?:[eE][+-]?\d+|[uU])? )
    | (?P<name> [_a-zA-Z][_a-zA-Z0-9]* )
    | (?P<mark> && | \|\| | [=!<>]= | (?s:.) )
    """,
    re.VERBOSE,
)
#: Words of other languages -> what CEL has for them.
_FOREIGN: Final = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


class EvaluationError(Exception):
    """An expression cannot be worked out; `kind` says whether for want of a name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        #: `unresolved`: it names what is not there; `expression`: anything else.
        self.kind = kind


# A check asks several times for each, and a plan may have thousands.
@lru_cache(maxsize=4096)
def problem(text: str) -> str | None:
    """Return why *text* is no expression, with help, or None; nothing is worked out."""
    if not text.strip():
        return f"is blank; {_HELP}"
    if len(text) > LENGTH:
        return f"has {len(text)} characters; at most {LENGTH} are read"
    tokens = _tokens(text)
    if _depth(tokens) > DEPTH:
        return f"is nested more than {DEPTH} deep"
    try:
        text.encode("utf-8")
        _cel().compile(text)
    except UnicodeEncodeError:
        return "holds half of a character"
    except Exception as error:  # noqa: BLE001 - the package raises what its parser happens to
        return _explained(str(error), tokens)
    return _read(tokens).trouble


@lru_cache(maxsize=4096)
def names(text: str) -> frozenset[str]:
    """Return the nodes that *text*, an expression, names: those whose results it is about."""
    return frozenset(_read(_tokens(text)).names)


def evaluate(text: str, variables: Mapping[str, Any]) -> Any:
    """Return what *text* comes to, as JSON has it.

    Raises `EvaluationError`. Takes as long and as much memory as it takes.
    """
    try:
        return _plain(_cel().evaluate(text, dict(variables)))
    except EvaluationError:
        raise
    except KeyError as error:
        raise EvaluationError("unresolved", f"there is no {error.args[0]}") from None
    except RuntimeError as error:
        found = re.match(r"Undefined variable or function: ('[^']*')", str(error))
        if found is None:
            raise EvaluationError("expression", clean_line(str(error), _SHOWN)) from None
        raise EvaluationError("unresolved", f"nothing is called {found[1]}") from None
    except Exception as error:  # noqa: BLE001 - the package raises what its parts happen to
        raise EvaluationError("expression", clean_line(str(error), _SHOWN)) from None


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value - value == 0:
            return value
        raise EvaluationError("expression", "it comes to no finite number")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(one) for key, one in value.items()}
    raise EvaluationError("expression", f"it comes to a {type(value).__name__}, which is no JSON")


@cache
def _cel() -> Any:
    """Return the package's compiled part.

    Its `__init__` also loads a command line, which takes ten times as long.
    """
    package = find_spec("cel")
    places = package.submodule_search_locations if package else None
    found = PathFinder.find_spec("cel.cel", places)
    if found is None or found.loader is None:
        import cel

        return cel
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


# -- what it is made of --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


_END: Final = _Token("end", "")


def _tokens(text: str) -> list[_Token]:
    found = (_Token(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(text))
    return [token for token in found if token.kind != "space"]


def _depth(tokens: list[_Token]) -> int:
    """Return how many brackets and conditions are open at once, at most."""
    deepest, open_ = 0, [0]
    for token in tokens:
        if token.text in {"(", "[", "{"}:
            open_.append(0)
        elif token.text in {")", "]", "}"} and len(open_) > 1:
            open_.pop()
        elif token.text == "?":
            open_[-1] += 1
        deepest = max(deepest, len(open_) - 1 + sum(open_))
    return deepest


@dataclass
class _Read:
    """What an expression names, and the first thing in it that is not taken."""

    names: set[str] = field(default_factory=set)
    trouble: str | None = None

    def refuse(self, sentence: str) -> None:
        self.trouble = self.trouble or sentence


@dataclass
class _Scope:
    """An open bracket; its macro binds a variable from its first comma on."""

    variable: str | None = None
    binds: bool = False


def _read(tokens: list[_Token]) -> _Read:
    found, scopes = _Read(), [_Scope()]
    for at, token in enumerate(tokens):
        if token.text in {"(", "[", "{"}:
            scopes.append(_Scope(_bound_by(tokens, at)))
        elif token.text in {")", "]", "}"} and len(scopes) > 1:
            scopes.pop()
        elif token.text == ",":
            scopes[-1].binds = True
        elif token.kind == "name":
            _read_name(found, tokens, at, scopes)
        elif token.text == "." and not _is_value(tokens[at - 1] if at else _END):
            found.refuse("begins a name with a dot")
    return found


def _is_value(token: _Token) -> bool:
    """Whether a value ends with *token*, so that a dot after it asks for a part of that."""
    if token.kind == "name":
        return token.text not in _WORDS
    return token.kind in {"string", "number"} or token.text in {")", "]", "}"}


def _bound_by(tokens: list[_Token], at: int) -> str | None:
    """Return the variable that the macro whose bracket is at *at* binds, if it is one."""
    if at < 2 or tokens[at].text != "(" or tokens[at - 1].text not in _BINDING:
        return None
    variable, comma = _peek(tokens, at + 1), _peek(tokens, at + 2)
    is_macro = tokens[at - 2].text == "." and variable.kind == "name" and comma.text == ","
    return variable.text if is_macro else None


def _peek(tokens: list[_Token], at: int) -> _Token:
    return tokens[at] if at < len(tokens) else _END


def _read_name(found: _Read, tokens: list[_Token], at: int, scopes: list[_Scope]) -> None:
    name, after = tokens[at].text, _peek(tokens, at + 1).text
    is_member = at > 0 and tokens[at - 1].text == "."
    if after == "(":
        if name not in (_BINDING if is_member else set()) | _FUNCTIONS:
            known = ", ".join(sorted(_FUNCTIONS | _BINDING, key=str.lower))
            found.refuse(f"calls `{name}`, which is no function; there are {known}")
    elif is_member or name in _WORDS:
        return
    elif after == "{":
        found.refuse(f"makes a `{name}`, which expressions cannot")
    elif at and scopes[-1].variable == name and not scopes[-1].binds:
        return  # the variable that the macro binds
    elif any(scope.binds and scope.variable == name for scope in scopes):
        return
    elif name == "results":
        _read_results(found, tokens, at)
    elif name not in VARIABLES | _TYPES or (name in _TYPES and (len(tokens) == 1 or after == ".")):
        found.names.add(name)  # a type alone, or a part of one, would be nothing that is asked for


def _read_results(found: _Read, tokens: list[_Token], at: int) -> None:
    mark, key, after = (_peek(tokens, at + step) for step in (1, 2, 3))
    if mark.text == "." and key.kind == "name" and after.text != "(":
        found.names.add(key.text)
    elif mark.text == "[" and key.kind == "string" and after.text == "]":
        node = _literal(key.text)
        if node is None:
            found.refuse(f"names a node as {key.text}; write its id as it is, in quotes")
        else:
            found.names.add(node)
    else:
        found.refuse(_DYNAMIC)


def _literal(text: str) -> str | None:
    """Return what a quoted text says; None for bytes and for escaped characters."""
    body = text.lstrip("rR")
    quotes = body[:3] if body[:3] in {"'''", '"""'} else body[:1]
    if quotes[0] not in "'\"" or "\\" in body:
        return None
    return body[len(quotes) : -len(quotes)]


# -- what people are told ------------------------------------------------------------------------


def _explained(message: str, tokens: list[_Token]) -> str:
    """Return what is wrong with an expression that does not parse, and how it is mended."""
    foreign = next(_hints(tokens), None)
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)", message)
    if found is None:
        return f"does not parse: {clean_line(message, _SHOWN)}; {foreign or _HELP}"
    what = clean_line(re.sub(r" expecting .*", "", found[3]), _SHOWN)
    return f"does not parse at line {found[1]}, column {found[2]}: {what}; {foreign or _HELP}"


def _hints(tokens: list[_Token]) -> Iterator[str]:
    for token in tokens:
        if token.kind == "name" and token.text in _FOREIGN:
            yield f"`{token.text}` is written `{_FOREIGN[token.text]}`"
        elif token.text == "=":
            yield "what is equal is written `==`"
        elif token.text == "`":
            yield 'a node whose id is no word is written `results["NODE"]`'
