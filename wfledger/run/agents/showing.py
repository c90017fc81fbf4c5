"""What of an agent's program a sandbox has to show besides the whole system: read-only, as that is.

A sandbox has a /tmp of its own; a program that was installed in there would not be found.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wfledger.run.config import adapters
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import Confinement
from wfledger.run.config.roles import Fleet
from wfledger.run.processes.sandbox import PRIVATE


def fitted(fleet: Fleet, adapter: Adapter, confinement: Confinement, path: str) -> Confinement:
    """Return *confinement* with the agent's program to be seen, and every agent's login not.

    *path* is where the program is looked for. Whoever needs a login has a copy.
    """
    if confinement.sandbox != "bwrap":
        return confinement
    known = (*fleet.adapters, *adapters.built_in())
    logins = (file for one in known for file, _ in one.login.copy)
    return replace(
        confinement,
        hidden=tuple(dict.fromkeys((*confinement.hidden, *logins))),
        readable=tuple(dict.fromkeys((*confinement.readable, *_program(adapter, path)))),
    )


def _program(adapter: Adapter, path: str) -> Iterator[str]:
    """Yield where the program is installed, and linked from, if a sandbox has that for itself."""
    found = shutil.which(adapter.program, path=path)
    for place in (Path(found).absolute(), Path(found).resolve()) if found else ():
        home = _installation(place)
        if any(home.is_relative_to(folder) for folder in PRIVATE):
            yield str(home)


def _installation(program: Path) -> Path:
    """Return the folder of all that a program is made of, as npm, venv and archives lay it out."""
    parents = program.parents
    modules = [folder for folder in parents if folder.name == "node_modules"]
    if modules:
        return modules[-1]
    environments = (folder for folder in parents if (folder / "pyvenv.cfg").is_file())
    around = next(environments, program.parent)
    return program if str(around) in PRIVATE else around
