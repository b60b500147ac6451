"""For whom a run is: recorded at its start, kept by what goes on with it, and told to the arbiter."""

import getpass
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.support.arbiters import Turns

from symphony.app import Symphony
from symphony.app.run_for import RunFor, usual
from symphony.commons.settings import Config, RunConfig
from symphony.pit.tracker.store.journal import RunMeta
from symphony.sdk import operator
from symphony.workflow.files import loads


@operator("whom.step", version="1.0.0", idempotent=True, inline=False)
async def step() -> int:
    """Needs a grant."""
    return 1


FLOW = loads("name: whom\nnodes:\n  a: {operator: whom.step}\n", "yaml")


@pytest.fixture
async def symphony(tmp_path: Path) -> AsyncIterator[Symphony]:
    async with Symphony.open(tmp_path / "home", operators=[step], config=Config()) as found:
        found.parts.arbiter = Turns()
        yield found


def asked(symphony: Symphony) -> tuple[str, str, int]:
    assert isinstance(symphony.parts.arbiter, Turns)
    request = symphony.parts.arbiter.granted[-1].request
    return request.user, request.project, request.priority


def recorded(symphony: Symphony, run_id: str) -> tuple[object, ...]:
    document = symphony.views.document(run_id)
    return document["user"], document["project"], document["priority"]


async def test_a_run_is_for_the_user_and_project_that_it_is_begun_for(symphony: Symphony) -> None:
    handle = await symphony.start(FLOW, user="ada", project="books", priority=5)
    await handle.result()
    assert asked(symphony) == recorded(symphony, handle.run_id) == ("ada", "books", 5)
    assert symphony.run_for(handle.run_id) == RunFor(user="ada", project="books", priority=5)


async def test_a_run_is_for_who_is_logged_in_and_the_folder_unless_somebody_says_otherwise(
    symphony: Symphony, tmp_path: Path
) -> None:
    handle = await symphony.start(FLOW, cwd=tmp_path)
    await handle.result()
    assert asked(symphony) == (getpass.getuser(), tmp_path.name, 0)
    assert symphony.run_for(handle.run_id) == RunFor()


async def test_a_rerun_is_for_whom_the_run_was_unless_it_says_otherwise(symphony: Symphony) -> None:
    first = await symphony.start(FLOW, user="ada", project="books", priority=5)
    await first.result()
    second = await symphony.rerun(first.run_id, first="a")
    await second.result()
    assert asked(symphony) == recorded(symphony, second.run_id) == ("ada", "books", 5)
    third = await symphony.rerun(first.run_id, first="a", user="eve", priority=0)
    await third.result()
    assert asked(symphony) == recorded(symphony, third.run_id) == ("eve", "books", 0)


async def test_a_run_that_goes_on_is_for_whom_it_was_unless_somebody_says_otherwise(
    symphony: Symphony,
) -> None:
    for more, whom in (({}, ("ada", "books", 5)), ({"user": "eve"}, ("eve", "books", 5))):
        handle = await symphony.start(FLOW, user="ada", project="books", priority=5)
        handle.pause()
        await handle.result()
        again = await symphony.resume(handle.run_id, **more)  # type: ignore[arg-type]
        await again.result()
        assert asked(symphony) == recorded(symphony, handle.run_id) == whom


async def test_of_a_run_of_an_earlier_version_nobody_knows_for_whom_it_is(symphony: Symphony) -> None:
    handle = await symphony.start(FLOW)
    await handle.result()
    meta = msgspec.msgpack.decode(msgspec.msgpack.encode(symphony.runs.meta(handle.run_id)))
    for later in ("user", "project", "priority"):
        del meta[later]
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(meta), type=RunMeta)
    assert (old.user, old.project, old.priority) == ("", "", 0)


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a\nb", "a\x1bb", "x" * 101, "a\udcff"])
@pytest.mark.parametrize("what", ["user", "project"])
async def test_a_name_that_no_list_could_show_is_refused(symphony: Symphony, what: str, name: str) -> None:
    with pytest.raises(Exception, match=f"cannot be a run's {what}") as caught:
        await symphony.start(FLOW, **{what: name})  # type: ignore[arg-type]
    assert getattr(caught.value, "code", None) == "run-for"


@pytest.mark.parametrize("name", ["a", "Ada Lovelace", "日本", "x" * 100, "a@b.org"])
def test_names_may_be_those_of_people(name: str) -> None:
    assert RunFor(user=name, project=name).checked().user == name


def test_a_folder_whose_name_is_no_utf_8_is_a_project_that_can_be_written(tmp_path: Path) -> None:
    _, project, _ = usual(RunConfig(), None, tmp_path / "bees\udcff")
    assert project == r"bees\udcff"


def test_the_settings_say_for_whom_runs_are_and_the_home_in_which_project() -> None:
    nobody, here = RunConfig(), Path("/home/ann/demo")
    assert usual(nobody, Path("/srv/books/.symphony"), here)[1] == "books"
    assert usual(nobody, Path("/var/lib/symphony"), here)[1] == "demo"
    assert usual(nobody, None, here)[1] == "demo"
    assert usual(RunConfig(user="eve", project="x", priority=-3), None, here) == ("eve", "x", -3)
