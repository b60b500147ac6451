"""A process that owns the pool or the arbiter, and is stopped, is told of: also as the hub of the bus."""

import os
import signal
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_BEGIN = {"pool": ("pit", "serve"), "arbiter": ("run", "long.yaml", "--quiet")}
_ASKED = {
    "pool": (("models", "status"), ("models", "warm", "minilm"), ("pit", "status")),
    "arbiter": (("pit", "status"),),
}


@pytest.mark.parametrize("owned", ["pool", "arbiter"])
def test_an_owner_that_is_stopped_is_not_taken_for_none(owned: str, tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.home.mkdir()
    line.write("home/config.toml", "[arbiter]\ncores = 1.0\n")
    line.write("long.yaml", "name: L\nnodes: {a: {command: 'sleep 60'}}\n")
    owner = line.start(*_BEGIN[owned])
    try:
        wait_until(lambda: line.json("pit", "status")[owned] not in (None, NO_POOL), owner)
        os.kill(owner.pid, signal.SIGSTOP)
        for words in _ASKED[owned]:
            out, said = line.type(*words, status=1)
            assert (out, "pit-silent" in said, f"kill -CONT {owner.pid}" in said) == ("", True, True)
        check = next(one for one in line.json("doctor", status=1) if one["check"] == owned)
        assert (check["verdict"], f"process {owner.pid} owns" in check["found"]) == ("failed", True)
        assert f"kill -CONT {owner.pid}" in check["fix"]
        os.kill(owner.pid, signal.SIGCONT)
        assert line.json("pit", "status")[owned] not in (None, NO_POOL)
    finally:
        os.kill(owner.pid, signal.SIGCONT)
        owner.terminate()
        owner.communicate()


NO_POOL = {"owner": None, "processes": 0, "models": []}
