"""Packets between a machine of a torture and the hub vanish where they are to, and nowhere else."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.sealed import ROOT
from wfledger.run.chaos.links import BREAKS, why_not

#: Begins again in a network of its own; says whether a machine reaches it, over a link that is
#: whole, and that is broken in each way and healed.
_LINKS = """
import os, socket, subprocess, sys, threading
from wfledger.run.chaos.links import BREAKS, Link, is_inside, own_network

if not is_inside():
    sys.exit(own_network([sys.executable, *sys.argv]))
link = Link(5)
hub = socket.create_server((link.address, 0))
ask = "import socket; socket.create_connection(%r, timeout=0.4)" % (hub.getsockname(),)
def reach():
    argv = link.inside([sys.executable, "-c", ask])
    done = subprocess.run(argv, stderr=subprocess.PIPE, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else "reached"
print(*sorted(name for _, name in socket.if_nameindex()))
print(reach())
for how in BREAKS:
    link.cut(how)
    print(how, reach())
    link.heal()
    print(reach())
"""


@pytest.mark.long
@pytest.mark.skipif(bool(why_not()), reason=f"needs network namespaces: {why_not()}")
@pytest.mark.requirement("WFL-HUB-130")
def test_packets_vanish_untold_while_a_link_is_broken_and_come_through_when_it_is_healed(
    tmp_path: Path,
) -> None:
    (tmp_path / "links.py").write_text(_LINKS)
    done = run(sys.executable, "links.py", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.status == 0, done
    own, first, *rest = done.out.splitlines()
    assert (own, first) == ("lo machine5", "reached")
    expected = [line for how in BREAKS for line in (f"{how} TimeoutError: timed out", "reached")]
    assert rest == expected
