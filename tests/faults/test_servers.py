"""Faults met with servers and peers that answer otherwise than their interface says."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def _serving(script: Path, *arguments: str) -> Iterator[int]:
    """The case's server as a process; its port, once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, script.name, str(port), *arguments], cwd=script.parent, stderr=subprocess.DEVNULL
    )
    try:
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=10).close()
                break
            except ConnectionRefusedError:
                continue
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_a_body_that_is_not_json_hides_neither_status_nor_retry_nor_fail(
    fault: Callable[[str], Any],
) -> None:
    case = fault("http-answer-not-json-hides-status")
    with _serving(case.folder / "server.py") as port:

        def get(asked: str) -> dict[str, Any]:
            path, *more = asked.split()
            at = f"127.0.0.1:{port}"
            given = ("--input", f"url=http://{at}{path}", "--allow-host", at)
            result: dict[str, Any] = case.run("flow.yaml", *given, *more)
            return result

        # Most of the time is that between tries: those with several begin at once.
        asked = (
            "/bad502", "/bad502 --input fail=false", "/bad503", "/date", "/late", "/badok", "/bigint", "/nan",
            "/bom", "/redirect --input redirects=0 --input fail=false", "/charset",
        )  # fmt: skip
        with ThreadPoolExecutor(5) as at_once:
            told = dict(zip(asked, at_once.map(get, asked), strict=True))
    outputs = {path: one.get("outputs") for path, one in told.items()}
    assert outputs["/bad503"]["json"] == {"ok": True}
    failed = outputs["/bad502 --input fail=false"]
    assert (failed["status"], failed["text"]) == (502, "<html>Bad gateway</html>")
    assert "status 502" in str(told["/bad502"]["error"])
    for path, text in (
        ("/badok", "not json at all"),
        ("/bigint", '{"id": 18446744073709551615, "name": "x"}'),
        ("/nan", '{"a": NaN}'),
    ):
        found = outputs[path]
        assert (found["status"], found["text"], found["json"]) == (200, text, None)
    assert outputs["/bom"]["json"] == {"a": 1}
    assert outputs["/date"]["json"] == {"n": 2}
    assert "status 429" in str(told["/late"]["error"])
    assert outputs["/redirect --input redirects=0 --input fail=false"]["status"] == 302
    assert outputs["/charset"]["text"] == "caf\ufffd"


@pytest.mark.slow
def test_every_address_of_a_name_is_tried(fault: Callable[[str], Any]) -> None:
    folder = fault("http-only-first-address").folder
    with _serving(folder / "server.py") as port:
        done = _python(folder / "dual.py", str(port))
    assert "succeeded" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("model", ["usagenull", "usagefloat", "nulls", "parts", "quota"])
def test_models_of_compatible_servers_answer(fault: Callable[[str], Any], model: str) -> None:
    case = fault("model-answers-of-compatible-servers")
    flow = (case.folder / "flow.yaml").read_text().replace("instrument: quota", f"instrument: {model}")
    (case.folder / "flow.yaml").write_text(flow)
    with _serving(case.folder / "llm.py", "log") as port:
        settings = (case.folder / "config.toml").read_text().replace("18998", str(port))
        case.home.mkdir(mode=0o700)
        (case.home / "config.toml").write_text(settings)
        result = case.run("flow.yaml")
    asked = (case.folder / "log").read_text().splitlines()
    assert len(asked) == 1
    if model == "quota":
        assert "model-unpaid" in str(result["error"])
        assert "add credit" in str(result["error"])
    else:
        assert result["outputs"] == {"t": "ok"}


def _python(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", script.name, *arguments],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_json_rpc_refuses_what_json_cannot_say_and_takes_a_result_beside_a_null_error(
    fault: Callable[[str], Any],
) -> None:
    folder = fault("rpc-inf").folder
    tried = _python(folder / "try.py")
    assert tried.returncode == 1
    assert "SerializationFailed" in tried.stderr
    waited = _python(folder / "hang.py")
    assert waited.stdout.splitlines()[-1] == "5"
