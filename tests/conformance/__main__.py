"""The conformance suite from the shell.

python -m tests.conformance                 say which generated files are stale, what has no test
python -m tests.conformance --write         write the generated files
python -m tests.conformance --program CMD   run the vectors against another implementation
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import generated, pages, traceability, vectors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--write", action="store_true", help="write the generated files of spec/")
    parser.add_argument("--program", metavar="CMD", help="run the vectors against CMD")
    options = parser.parse_args(arguments)
    if options.program:
        return against(shlex.split(options.program))
    return write() if options.write else report()


def write() -> int:
    """Write what is generated; returns 1 when a requirement has nothing that shows it."""
    for path, text in generated.wanted():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(pages.ROOT)}")
    return holes()


def report() -> int:
    """Say what `write` would write, and which requirements nothing shows."""
    stale = [path for path, text in generated.wanted() if _content(path) != text]
    for path in stale:
        print(f"stale: {path.relative_to(pages.ROOT)}; run: python -m tests.conformance --write")
    return 1 if stale else holes()


def _content(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def holes() -> int:
    """Print each binding requirement that nothing shows; returns 1 when there is one."""
    missing = traceability.missing()
    known = pages.requirements()
    for number in missing:
        print(f"{number} {known[number].text}")
    print(f"{len(known)} requirements, {len(missing)} that nothing shows")
    return 1 if missing else 0


def against(program: Sequence[str]) -> int:
    """Run every vector against *program*; returns 1 when it disagrees with one."""
    passed = skipped = failed = 0
    for path, case in vectors.cases():
        given = _ask(program, case["when"])
        if given.get("skip"):
            skipped += 1
        elif vectors.agrees(case["when"], case["then"], given):
            passed += 1
        else:
            failed += 1
            print(f"{path.relative_to(vectors.FOLDER)} {case['id']}: {json.dumps(given)[:200]}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def _ask(program: Sequence[str], when: vectors.Answer) -> vectors.Answer:
    done = subprocess.run(
        program, input=json.dumps(when), capture_output=True, text=True, timeout=60, check=False
    )
    try:
        given = json.loads(done.stdout)
    except ValueError:
        return {"broken": done.stderr[-200:]}
    return given if isinstance(given, dict) else {"broken": given}


if __name__ == "__main__":
    sys.exit(main())
