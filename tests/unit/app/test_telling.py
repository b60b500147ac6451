"""`on_finish`: what is told of the end of a run, when, and what becomes of it."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from tests.support.processes import alive
from tests.support.waiting import until

from symphony import RunStatus, Symphony, Workflow, loads
from symphony.app import telling
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config, HttpConfig
from symphony.kit.hosts import HostRefused
from symphony.ports.runs import RunWarning
from symphony.testing import run as try_out

pytestmark = pytest.mark.slow

TELL = 'echo "$RUN|$WORKFLOW|$STATUS|$ERROR" >> told'


def flow(command: str = "true", told: str = TELL) -> Workflow:
    hook, does = json.dumps({"command": told}), json.dumps({"command": command, "idempotent": True})
    return loads(f"name: A flow\non_finish: {hook}\nnodes: {{a: {does}}}", "yaml")


async def finished(symphony: Symphony, workflow: Workflow, cwd: Path) -> RunStatus:
    handle = await symphony.start(workflow, cwd=cwd)
    return (await handle.result()).status


def once(folder: Path, workflow: Workflow, **opened: object) -> RunStatus:
    async def whole() -> RunStatus:
        async with Symphony.open(folder / "home", **opened) as symphony:  # type: ignore[arg-type]
            return await finished(symphony, workflow, folder)

    return asyncio.run(whole())


def told(folder: Path) -> list[list[str]]:
    file = folder / "told"
    return [line.split("|") for line in file.read_text().splitlines()] if file.exists() else []


def untold(folder: Path) -> list[Path]:
    return list((folder / "home/run").glob("*.untold"))


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    ("command", "status", "error"),
    [("true", "succeeded", ""), ("echo oh >&2; exit 3", "failed", "a: the command exited with 3: oh")],
)
def test_the_end_of_a_run_is_told_once(
    tmp_path: Path, memory: bool, command: str, status: str, error: str
) -> None:
    assert once(tmp_path, flow(command), memory=memory) == status
    ((_, name, *rest),) = told(tmp_path)
    assert (name, rest) == ("A flow", [status, error])
    assert not untold(tmp_path)


def test_a_cancelled_run_is_told_and_a_waiting_one_is_not(tmp_path: Path) -> None:
    asking = "  b: {control: approval}\n"
    waiting = loads(f"name: W\non_finish: {{command: {json.dumps(TELL)}}}\nnodes:\n{asking}", "yaml")

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            assert await finished(symphony, waiting, tmp_path) is RunStatus.WAITING
            assert told(tmp_path) == []
            handle = await symphony.start(flow("sleep 60"), cwd=tmp_path)
            handle.cancel()
            assert (await handle.result()).status is RunStatus.CANCELLED
        assert [one[2] for one in told(tmp_path)] == ["cancelled"]

    asyncio.run(whole())
    assert len(untold(tmp_path)) == 1  # of the one that waits


def test_an_interrupted_run_is_told_of_when_it_has_gone_on_to_its_end(tmp_path: Path) -> None:
    async def whole() -> str:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(flow("test -e go || sleep 60"), cwd=tmp_path)
            handle.interrupt("SIGTERM")
            result = await handle.result()
            assert result.status is RunStatus.INTERRUPTED
            return result.run_id

    run_id = asyncio.run(whole())
    assert told(tmp_path) == []
    (tmp_path / "go").touch()

    async def later() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            for _ in range(2):
                handle = await symphony.resume(run_id)
                assert (await handle.result()).status is RunStatus.SUCCEEDED

    asyncio.run(later())
    assert [one[0] for one in told(tmp_path)] == [run_id]


def test_a_run_whose_process_died_before_it_told_is_told_of_by_resume_once(tmp_path: Path) -> None:
    async def whole() -> str:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(flow(), cwd=tmp_path)
            return (await handle.result()).run_id

    run_id = asyncio.run(whole())
    (tmp_path / "told").unlink()
    (tmp_path / f"home/run/{run_id}.untold").touch()

    async def resumed() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            for handle in [await symphony.resume(run_id) for _ in range(3)]:
                await handle.result()

    asyncio.run(resumed())
    assert [one[0] for one in told(tmp_path)] == [run_id]
    assert not untold(tmp_path)


def test_a_sub_workflow_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        f"name: Inner\non_finish: {{command: {json.dumps(TELL)}}}\nnodes: {{a: {{command: 'true'}}}}\n"
    )
    outer = tmp_path / "outer.yaml"
    outer.write_text("name: Outer\nnodes: {b: {workflow: inner.yaml}}\n")

    async def whole() -> RunStatus:
        async with Symphony.open(memory=True) as symphony:
            handle = await symphony.start(outer, cwd=tmp_path)
            return (await handle.result()).status

    assert asyncio.run(whole()) is RunStatus.SUCCEEDED
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo no >&2; exit 7", "failed: the command exited with 7: no"),
        ("kill -9 $$", "failed: the command was killed by signal 9 (SIGKILL)"),
        ("cd /nowhere/at/all", "failed: the command exited with"),
    ],
)
def test_what_goes_wrong_is_a_warning_and_never_the_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: str, said: str
) -> None:
    assert once(tmp_path, flow(told=command)) is RunStatus.SUCCEEDED
    (record,) = caplog.records
    assert said in record.getMessage()
    assert not untold(tmp_path)  # it was told, and that is what came of it


def warned(folder: Path, workflow: Workflow | Path) -> list[RunWarning]:
    found = list[RunWarning]()

    async def whole() -> None:
        async with Symphony.open(folder / "home") as symphony:
            handle = await symphony.start(workflow, cwd=folder)
            handle.warn_by(found.append)
            await handle.result()

    asyncio.run(whole())
    return found


def test_a_warning_that_is_asked_for_has_its_place_and_the_last_lines_and_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("""
name: F
nodes: {a: {operator: debug.value, inputs: {value: 1}}}
on_finish:
  command: |
    seq 9 >&2; echo; exit 3
""")
    (one,) = warned(tmp_path, file)
    assert (one.code, one.message) == ("on-finish-failed", "on_finish failed: the command exited with 3: 9")
    assert list(one.output) == ["5", "6", "7", "8", "9"]
    assert one.place is not None
    assert (one.place.file, one.place.line, one.place.place) == (str(file), 4, "on_finish")
    assert not caplog.records


def test_what_a_command_printed_to_stdout_is_shown_if_stderr_is_empty(tmp_path: Path) -> None:
    (one,) = warned(tmp_path, flow(told="echo useful; exit 1"))
    assert (list(one.output), one.place) == (["useful"], None)


def test_a_secret_that_is_cut_is_hidden_in_the_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "quite-a-secret-word")
    (tmp_path / "hidden").write_text("x" * 190 + "quite-a-secret-word\n" + "y" * 7_990 + "\n")
    workflow = loads(
        "name: S\nenv: [TOKEN]\non_finish: {command: 'cat hidden >&2; head -c 209 hidden >&2; exit 1'}\n"
        "nodes: {a: {operator: debug.value, inputs: {value: '${{ env.TOKEN }}'}}}\n",
        "yaml",
    )
    (one,) = warned(tmp_path, workflow)
    said = "\n".join((one.message, *one.output))
    assert "quite" not in said
    assert "word" not in said
    assert "***" in said


def test_a_caller_whose_folder_is_gone_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    workflow = flow(f"rmdir {here}")

    async def whole() -> RunStatus:
        async with Symphony.open(tmp_path / "home") as symphony:
            return await finished(symphony, workflow, here)

    assert asyncio.run(whole()) is RunStatus.SUCCEEDED
    assert "is not there" in caplog.text


def test_it_ends_after_its_time_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telling, "SECONDS_MAX", 0.5)
    command = (
        "trap '' TERM; (trap '' TERM; setsid sleep 61 & echo $! > other; wait) & echo $$ > pid; wait; wait"
    )
    began_s = time.monotonic()
    assert once(tmp_path, flow(told=command)) is RunStatus.SUCCEEDED
    assert time.monotonic() - began_s < 20
    assert "took more than 0.5 seconds" in caplog.text
    assert not any(alive(int((tmp_path / name).read_text())) for name in ("pid", "other"))


def test_what_it_leaves_behind_is_ended(tmp_path: Path) -> None:
    assert once(tmp_path, flow(told="setsid sleep 62 >/dev/null 2>&1 & echo $! > pid")) is RunStatus.SUCCEEDED
    assert not alive(int((tmp_path / "pid").read_text()))


def test_listed_variables_and_keys_are_not_given_and_errors_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "quite-a-secret-word")
    monkeypatch.setenv("PLAIN", "plain")
    workflow = loads(
        "name: S\nenv: [TOKEN]\n"
        "on_finish: {command: 'echo \"$TOKEN|$PLAIN|$ERROR|$SYMPHONY_RUN_ID\" > told'}\n"
        "nodes:\n  a: {command: 'echo $T >&2; exit 1', inputs: {t: '${{ env.TOKEN }}'}}\n",
        "yaml",
    )
    assert once(tmp_path, workflow) is RunStatus.FAILED
    ((token, plain, error, run_id),) = told(tmp_path)
    assert (token, plain) == ("", "plain")
    assert error == "a: the command exited with 1: ***"
    assert run_id


def test_interrupting_a_run_that_is_being_told_of_ends_that_and_resume_tells_it_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = f"test -e again || {{ touch begun; sleep 63; }}; {TELL}"

    async def whole() -> str:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(flow(told=command), cwd=tmp_path)
            await until((tmp_path / "begun").exists, 0.01)
            handle.interrupt("SIGINT")
            result = await handle.result()
            assert result.status is RunStatus.SUCCEEDED
            return result.run_id

    run_id = asyncio.run(whole())
    assert "on_finish of run a-flow-1 was stopped; symphony runs resume a-flow-1 tells it" in caplog.text
    assert told(tmp_path) == []
    (tmp_path / "again").touch()

    async def later() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            await (await symphony.resume(run_id)).result()

    asyncio.run(later())
    assert [one[0] for one in told(tmp_path)] == [run_id]


def test_deleting_a_run_that_has_yet_to_tell_leaves_nothing(tmp_path: Path) -> None:
    workflow = loads(
        f"name: W\non_finish: {{command: {json.dumps(TELL)}}}\nnodes: {{b: {{control: approval}}}}", "yaml"
    )

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(workflow, cwd=tmp_path)
            await handle.result()
        symphony.runs.delete(handle.run_id)

    asyncio.run(whole())
    assert not untold(tmp_path)


# ---- over HTTP ----------------------------------------------------------------------------------


def posting(url: str) -> Workflow:
    return loads(f"name: P\non_finish: {{url: '{url}'}}\nnodes: {{a: {{command: exit 4}}}}", "yaml")


@pytest.fixture
def allowed(httpserver: HTTPServer) -> Config:
    """Settings by which the server may be asked."""
    return Config(http=HttpConfig(allow=(f"localhost:{httpserver.port}",)))


def test_a_url_is_told_the_same_as_json(tmp_path: Path, httpserver: HTTPServer, allowed: Config) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    assert once(tmp_path, posting(httpserver.url_for("/hook")), config=allowed) is RunStatus.FAILED
    (request, _) = httpserver.log[0]
    body = request.get_json()
    assert body.pop("run")
    assert body == {"workflow": "P", "status": "failed", "error": "a: the command exited with 4"}
    assert len(httpserver.log) == 1


def test_a_server_that_refuses_is_a_warning(
    tmp_path: Path, httpserver: HTTPServer, allowed: Config, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request("/hook").respond_with_data("gone", status=410)
    assert once(tmp_path, posting(httpserver.url_for("/hook")), config=allowed) is RunStatus.FAILED
    assert "status 410: gone" in caplog.text
    assert not untold(tmp_path)


def test_a_host_that_is_not_allowed_is_told_before_anything_runs(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    workflow = posting(httpserver.url_for("/hook"))
    with pytest.raises(HostRefused, match=r"on_finish\.url: localhost") as caught:
        once(tmp_path, workflow)
    assert caught.value.hint is not None
    assert "--allow-host localhost:" in caught.value.hint

    async def planned() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            symphony.plan(workflow)

    with pytest.raises(SymphonyError, match="may be asked"):
        asyncio.run(planned())


# ---- in tests -------------------------------------------------------------------------------------


def test_a_test_run_tells_nobody_and_has_what_would_be_told(tmp_path: Path) -> None:
    outcome = try_out(flow("exit 2", told=f"touch {tmp_path}/touched"))
    assert outcome.told is not None
    assert {**outcome.told, "RUN": ""} == {
        "RUN": "", "WORKFLOW": "A flow", "STATUS": "failed", "ERROR": "a: the command exited with 2",
    }  # fmt: skip
    assert os.listdir(tmp_path) == []
    assert try_out(posting("https://hooks.example.org/x")).told is not None  # whether it is allowed or not
    assert try_out("tests/conformance/cases/001-schema-absent/workflow.yaml").told is None
