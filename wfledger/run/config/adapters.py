"""Adapters: how an agent's program is driven, as data (spec 62, "Adapters").

Those that wfledger comes with are package data, `run/agents/adapters/*.toml`; an `[adapter.NAME]`
of fleet.toml or of the machine's configuration has the same keys. Nothing here runs anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, cast, get_args

from wfledger.core.documents import Limits
from wfledger.run.config.confinement import HIDDEN
from wfledger.run.config.settings import Reader, none_of, read_each
from wfledger.run.config.templates import template_problem
from wfledger.run.processes.environment import looks_like_token

#: Protocols that agents speak with the servers of models.
Dialect = Literal["chat", "responses", "anthropic"]
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)
#: What an agent's end can mean, besides its success.
Trouble = Literal[
    "auth", "quota", "rate", "overload", "transport", "request", "content", "environment"
]
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
#: How an agent says what it does: an object in each line, one object, one list of objects, an
#: object in a file, or text for people alone.
Stream = Literal["jsonl", "json", "array", "file", "text"]
STREAMS: Final[tuple[Stream, ...]] = get_args(Stream)
#: Arguments that are left out where they do not apply; `{+NAME}` of a vector is their place.
#: server, login: with a provider, or by the agent's own login; own, open: shut in by its own
#: sandbox, or not by it; the others where there is such a value.
GROUPS: Final = ("server", "login", "model", "own", "open", "steps", "usd")
#: Placeholders of arguments, variables and files.
VALUES: Final = (
    "prompt", "prompt_file", "task", "attempt", "run", "worktree", "desk", "result_file", "home",
    "model", "base_url", "session", "max_steps", "max_usd",
)  # fmt: skip
#: Kinds of tokens and money that an agent may tell.
COUNTS: Final = ("input", "cache_read", "cache_write", "output", "reasoning", "requests", "usd")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FOLDER: Final = Path(__file__).parents[1] / "agents" / "adapters"

#: What a field of an event must be: one of these. `*` is anything, an empty text nothing at all,
#: `~RE` a text that the regular expression is found in, `!RE` one that it is not.
Wanted = tuple[str | bool | int, ...]


@dataclass(frozen=True)
class Match:
    """An event whose fields, by dotted paths, are all as wanted; one without fields is any."""

    fields: tuple[tuple[str, Wanted], ...] = ()


@dataclass(frozen=True)
class Pick:
    """A value of an event."""

    #: Dotted path; a number counts in a list, from its end where it is negative.
    at: str
    when: Match = Match()


@dataclass(frozen=True)
class Sign:
    """Words that mean trouble of a kind."""

    #: A regular expression, searched without regard to case, line by line.
    match: str
    kind: Trouble


@dataclass(frozen=True)
class Counting:
    """Where an agent says what it has used."""

    when: Match = Match()
    #: A kind of `COUNTS` and the dotted path of its number, or of several: `list.*.number`.
    paths: tuple[tuple[str, str], ...] = ()
    #: Whether each event tells of its own part, or the last one of all.
    is_sum: bool = False
    #: Whether a resumed session counts what was used before it too.
    is_cumulative: bool = False
    #: Kinds that the agent counts as a part of `input` too.
    input_includes: tuple[str, ...] = ()
    #: Whether it counts reasoning beside `output`, and not as a part of it.
    reasoning_apart: bool = False


@dataclass(frozen=True)
class Ends:
    """How the end of a run is read: the last event that matches any decides, `ok` goes first."""

    ok: tuple[Match, ...] = ()
    failed: tuple[Match, ...] = ()
    #: The same as regular expressions for the lines of a program that writes text.
    ok_lines: tuple[str, ...] = ()
    failed_lines: tuple[str, ...] = ()
    #: What went wrong, in the words of whoever knows.
    message: tuple[Pick, ...] = ()
    #: The status of HTTP that it died of.
    status: tuple[Pick, ...] = ()
    #: What the agent says at last; never read for a decision.
    text: tuple[Pick, ...] = ()
    #: Its result, as an object or as text that is one.
    result: tuple[Pick, ...] = ()
    session: tuple[Pick, ...] = ()
    version: tuple[Pick, ...] = ()


@dataclass(frozen=True)
class Login:
    """The agent's own login: what it is given of the person's, to read."""

    #: Variables that hold it; passed on where they are set.
    pass_names: tuple[str, ...] = ()
    #: A file of the home, `~/…`, and where its copy lies in the agent's own home.
    copy: tuple[tuple[str, str], ...] = ()
    #: The command that logs in, for people.
    hint: str | None = None


@dataclass(frozen=True)
class Adapter:
    """How one agent's program is driven."""

    name: str
    #: The whole vector; `{+GROUP}` alone is replaced by the arguments of that group.
    argv: tuple[str, ...]
    #: How it is started again with its session; empty where it cannot.
    resume: tuple[str, ...] = ()
    #: Seconds before the first of these; twice that before the second.
    resume_wait_s: float = 5.0
    title: str = ""
    #: How a person installs it.
    install: str | None = None
    #: Prints its version; empty where the events tell it, or nothing does.
    version: tuple[str, ...] = ()
    #: Protocols that it speaks with a provider, the best first; empty: it cannot be pointed at one.
    dialects: tuple[Dialect, ...] = ()
    #: Variable in which it expects the key of a provider.
    key: str | None = None
    #: Argument groups by name.
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Variables that are set always, with a provider, and without.
    env: tuple[tuple[str, str], ...] = ()
    server_env: tuple[tuple[str, str], ...] = ()
    login_env: tuple[tuple[str, str], ...] = ()
    #: Variables that name a folder of the agent's own home, which is made.
    home: tuple[tuple[str, str], ...] = ()
    #: Files that are written into the agent's own home: path, text.
    files: tuple[tuple[str, str], ...] = ()
    login: Login = Login()
    limits: Limits = field(default_factory=Limits)
    stream: Stream = "text"
    #: The file of a `stream = "file"`.
    file: str | None = None
    ends: Ends = Ends()
    usage: Counting = Counting()
    #: Looked for in this order, before the ones that hold for every agent.
    signs: tuple[Sign, ...] = ()
    #: What people should know of it.
    notes: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The program that has to be on the PATH."""
        return self.argv[0] if self.argv else ""

    @property
    def shuts_itself_in(self) -> bool:
        """Whether it has a sandbox of its own."""
        return bool(self.groups.get("own"))


@cache
def built_in() -> tuple[Adapter, ...]:
    """Return the adapters that wfledger comes with, by name."""
    return read_each(_FOLDER, read_adapter)


def file_of(name: str) -> str:
    """Return where the built-in adapter *name* is written, to name it in errors."""
    return str(_FOLDER / f"{name}.toml")


def read_adapter(table: Reader, name: str) -> Adapter:
    """Read `[adapter.NAME]`; what is wrong is noted at *table*, which its owner closes."""
    if not _NAME.match(name):
        table.wrong("", "is no name for an adapter: small letters, digits, . _ - only")
    groups = table.table("args")
    given = {group: _arguments(groups, group) for group in GROUPS}
    stream = table.choice("stream", STREAMS, "text")
    found = Adapter(
        name=name,
        argv=_arguments(table, "argv", given), resume=_arguments(table, "resume", given),
        resume_wait_s=table.seconds("resume_wait") or Adapter.resume_wait_s,
        title=table.text("title") or "",
        install=table.text("install"), version=table.strings("version"),
        dialects=cast("tuple[Dialect, ...]", table.each("dialects", none_of(DIALECTS))),
        key=_variable(table, "key"),
        groups={group: words for group, words in given.items() if words},
        env=_templates(table, "env"), server_env=_templates(table, "server_env"),
        login_env=_templates(table, "login_env"),
        home=_paths(table, "home", is_variable=True), files=_files(table),
        login=_login(table.table("login")),
        limits=_limits(table.table("limits")),
        stream=cast("Stream", stream),
        file=_template(table, "file"),
        ends=_ends(table.table("end")),
        usage=_counting(table.table("usage")),
        signs=read_signs(table, "errors"),
        notes=table.strings("notes"),
    )  # fmt: skip
    _check(table, found)
    return found


def read_signs(table: Reader, key: str) -> tuple[Sign, ...]:
    """Read `[{ match = "…", kind = "…" }, …]`."""
    signs = []
    for inner in table.tables(key):
        match, kind = inner.text("match"), inner.text("kind")
        if match is None or kind not in TROUBLES:
            inner.wrong("", f"needs match, and a kind of {', '.join(TROUBLES)}")
        elif (problem := _pattern_problem(match)) is not None:
            inner.wrong("match", problem)
        else:
            signs.append(Sign(match, kind))
    return tuple(signs)


def _check(table: Reader, found: Adapter) -> None:
    """Note what does not go together."""
    if not found.program:
        table.wrong("argv", 'is missing; for example ["agent", "--json", "{prompt}"]')
    is_text = found.stream == "text"
    if not (found.ends.ok_lines if is_text else found.ends.ok):
        wanted = "ok_lines" if is_text else "ok"
        table.wrong("end", f"needs {wanted}: exit status 0 alone proves no success")
    if is_text and (found.ends.ok or found.ends.failed):
        table.wrong("end", "text has no events: use ok_lines and failed_lines")
    if (found.stream == "file") != (found.file is not None):
        table.wrong("file", 'goes with stream = "file"')
    if found.dialects and found.key is None:
        table.wrong("key", "is missing: the variable in which it expects a provider's key")
    if "{session}" in "".join(found.resume) and not found.ends.session:
        table.wrong("resume", "needs end.session: where it says the id of its session")
    for group in found.groups:
        if not any(f"{{+{group}}}" in words for words in (found.argv, found.resume)):
            table.wrong("args", f"{group} has no place: write {{+{group}}} into argv")


def _arguments(
    table: Reader, key: str, groups: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[str, ...]:
    def problem(template: str) -> str | None:
        if groups is None or not template.startswith("{+"):
            return template_problem(template, VALUES)
        group = template[2:-1] if template.endswith("}") else ""
        if groups.get(group):
            return None
        return f"is no group of arguments that has any in args; there are {', '.join(GROUPS)}"

    return table.each(key, problem)


def _template(table: Reader, key: str) -> str | None:
    value = table.text(key)
    problem = None if value is None else template_problem(value, VALUES)
    if problem is not None:
        table.wrong(key, problem)
    return value


def _templates(table: Reader, key: str) -> tuple[tuple[str, str], ...]:
    """Read variables; their values are templates."""
    inner = table.table(key)
    pairs = []
    for name in inner.names():
        value = _template(inner, name)
        if not _VARIABLE.match(name) or name.startswith("WFLEDGER_"):
            inner.wrong(name, "is no name that a variable may have here")
        elif value is not None and looks_like_token(value):
            inner.wrong(name, "looks like a secret; name a variable in login.pass instead")
        elif value is not None:
            pairs.append((name, value))
    return tuple(pairs)


def _variable(table: Reader, key: str) -> str | None:
    name = table.text(key)
    if name is not None and not _VARIABLE.match(name):
        table.wrong(key, "is no name of a variable")
    return name


def _paths(table: Reader, key: str, *, is_variable: bool = False) -> tuple[tuple[str, str], ...]:
    """Read names, of variables or of files, and paths below the agent's own home."""
    inner = table.table(key)
    pairs = []
    for name in inner.names():
        value = inner.text(name)
        if is_variable and not _VARIABLE.match(name):
            inner.wrong(name, "is no name of a variable")
        elif not is_variable and (not name.startswith("~/") or ".." in Path(name).parts):
            inner.wrong(name, "must begin with ~/ and hold no ..")
        elif not is_variable and any(f"{name}/".startswith(f"{one}/") for one in HIDDEN):
            inner.wrong(name, "is what no agent may see")
        elif value is not None and _leads_out(value):
            inner.wrong(name, f"{value!r} must be a path below the agent's own home")
        elif value is not None:
            pairs.append((name, value))
    return tuple(pairs)


def _files(table: Reader) -> tuple[tuple[str, str], ...]:
    inner = table.table("files")
    pairs = []
    for path in inner.names():
        text = _template(inner, path)
        if _leads_out(path):
            inner.wrong(path, "must be a path below the agent's own home")
        elif text is not None:
            pairs.append((path, text))
    return tuple(pairs)


def _leads_out(path: str) -> bool:
    return not path or path.startswith(("/", "~")) or ".." in Path(path).parts


def _login(table: Reader) -> Login:
    def problem(name: str) -> str | None:
        return None if _VARIABLE.match(name) else "is no name of a variable"

    return Login(
        pass_names=table.each("pass", problem), copy=_paths(table, "copy"), hint=table.text("hint")
    )


def _limits(table: Reader) -> Limits:
    return Limits(
        wall_s=table.seconds("wall_s"), idle_s=table.seconds("idle_s"),
        silence_s=table.seconds("silence_s"),
    )  # fmt: skip


def _ends(table: Reader) -> Ends:
    return Ends(
        ok=tuple(_match(one) for one in table.tables("ok")),
        failed=tuple(_match(one) for one in table.tables("failed")),
        ok_lines=table.each("ok_lines", _pattern_problem),
        failed_lines=table.each("failed_lines", _pattern_problem),
        message=_picks(table, "message"), status=_picks(table, "status"),
        text=_picks(table, "text"), result=_picks(table, "result"),
        session=_picks(table, "session"), version=_picks(table, "version"),
    )  # fmt: skip


def _counting(table: Reader) -> Counting:
    paths = ((kind, table.text(kind)) for kind in COUNTS)
    return Counting(
        when=_match(table.table("when")),
        paths=tuple((kind, path) for kind, path in paths if path is not None),
        is_sum=table.flag("sum") is True, is_cumulative=table.flag("cumulative") is True,
        input_includes=table.each("input_includes", none_of(("cache_read", "cache_write"))),
        reasoning_apart=table.flag("reasoning_apart") is True,
    )  # fmt: skip


def _picks(table: Reader, key: str) -> tuple[Pick, ...]:
    picks = []
    for inner in table.tables(key):
        at = inner.text("at")
        if not at:
            inner.wrong("at", "is missing: the dotted path of the value")
        picks.append(Pick(at or "", _match(inner.table("when"))))
    return tuple(picks)


def _match(table: Reader) -> Match:
    fields = []
    for path in table.names():
        wanted = table.scalars(path)
        if not wanted:
            table.wrong(path, "must be a text, a whole number, true or false, or a list of these")
        for one in wanted:
            is_pattern = isinstance(one, str) and one[:1] in {"~", "!"}
            if is_pattern and (problem := _pattern_problem(str(one)[1:])) is not None:
                table.wrong(path, problem)
        fields.append((path, wanted))
    return Match(tuple(fields))




def _pattern_problem(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error}"
    return None
