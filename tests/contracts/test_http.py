"""http.get and http.request against a real server on this machine."""

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from symphony.commons.errors import SymphonyError
from symphony.kit import http, operators
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.kit.hosts import HostRefused
from symphony.kit.http import HttpFailed
from symphony.sdk import Context

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(httpserver: HTTPServer, tmp_path: Path) -> Ask:
    """Asks the server, which is listed; `to` is a path of it, or a whole address."""

    def asked(name: str, to: str, *, hosts: tuple[str, ...] | None = None, **inputs: Any) -> dict[str, Any]:
        context = Context(
            run_id="r", node="n", attempt=1, cwd=tmp_path, base=tmp_path, log=lambda text, stream: None,
            cancelled=lambda: False,
            allowed_hosts=(f"localhost:{httpserver.port}",) if hosts is None else hosts,
        )  # fmt: skip
        operator = operators()[name]
        url = to if "://" in to else f"http://localhost:{httpserver.port}{to}"
        returned = asyncio.run(operator.function(url=url, context=context, **inputs))  # type: ignore[arg-type]
        return operator.ports(returned)

    return asked


def test_a_listed_host_is_asked_and_what_it_answers_is_told(ask: Ask, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/a", query_string="x=1&q=%C3%A9&q=true", headers={"X-Key": "k"}
    ).respond_with_json({"n": 1}, headers={"X-Made": "y"})
    answer = ask("http.get", "/a?x=1", query={"q": ["é", True]}, headers={"X-Key": "k"})
    assert (answer["status"], answer["json"], json.loads(answer["text"])) == (200, {"n": 1}, {"n": 1})
    assert answer["headers"]["x-made"] == "y"
    httpserver.expect_request("/b").respond_with_data(b"\x89PNG", content_type="image/png")
    answer = ask("http.get", "/b")
    assert (answer["data"], answer["text"], answer["json"]) == (b"\x89PNG", None, None)
    httpserver.expect_request("/c").respond_with_data(
        "é".encode("latin-1"), content_type="text/plain; charset=latin-1"
    )
    assert ask("http.get", "/c")["text"] == "é"


def test_nothing_is_asked_that_is_not_listed(ask: Ask, httpserver: HTTPServer) -> None:
    port = httpserver.port
    for hosts in ((), ("example.org",), (f"localhost:{port + 1}",), (f"*.localhost:{port}",)):
        with pytest.raises(HostRefused, match="not among the hosts") as caught:
            ask("http.get", "/", hosts=hosts)
        assert f"--allow-host localhost:{port}" in str(caught.value.hint) + str(caught.value)
    assert httpserver.log == []


def test_a_listed_name_that_leads_to_this_machine_is_refused_unless_the_address_is_listed(
    ask: Ask, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def here(self: object, host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", here)
    httpserver.expect_request("/", headers={"Host": f"api.example.org:{httpserver.port}"}).respond_with_data(
        "x"
    )
    to, name = f"http://api.example.org:{httpserver.port}/", f"api.example.org:{httpserver.port}"
    with pytest.raises(HostRefused, match=r"leads to 127\.0\.0\.1"):
        ask("http.get", to, hosts=(name,))
    assert httpserver.log == []
    assert ask("http.get", to, hosts=(name, "127.0.0.0/8"))["text"] == "x"


def test_redirects_are_checked_again_and_secrets_stay_behind(ask: Ask, httpserver: HTTPServer) -> None:
    port = httpserver.port
    httpserver.expect_request("/far").respond_with_data(
        "", status=302, headers={"Location": "http://example.org/"}
    )
    with pytest.raises(HostRefused, match=r"example\.org"):
        ask("http.get", "/far")
    httpserver.expect_request("/file").respond_with_data(
        "", status=302, headers={"Location": "file:///etc/passwd"}
    )
    with pytest.raises(HttpFailed, match="no address"):
        ask("http.get", "/file")
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def note(request: Request) -> Response:
        seen.append((request.method, {k.lower(): v for k, v in request.headers.items()}, request.get_data()))
        return Response("there")

    there = f"http://127.0.0.1:{port}/end"
    httpserver.expect_request("/near").respond_with_data("", status=302, headers={"Location": "/end"})
    httpserver.expect_request("/other").respond_with_data("", status=307, headers={"Location": there})
    httpserver.expect_request("/end").respond_with_handler(note)
    hosts = (f"localhost:{port}", f"127.0.0.1:{port}")
    headers = {"Authorization": "Bearer s", "X-Key": "s", "Accept": "text/plain"}
    assert ask("http.request", "/near", json={"a": 1}, headers=headers, hosts=hosts)["url"].endswith("/end")
    assert ask("http.request", "/other", text="body", headers=headers, hosts=hosts)["url"] == there
    assert [(method, body) for method, _, body in seen] == [("GET", b""), ("POST", b"body")]
    assert seen[0][1]["authorization"] == "Bearer s"
    assert not {"authorization", "x-key"} & set(seen[1][1])
    assert seen[1][1]["accept"] == "text/plain"
    httpserver.expect_request("/loop").respond_with_data("", status=301, headers={"Location": "/loop"})
    with pytest.raises(HttpFailed, match="more than 3 times"):
        ask("http.get", "/loop", redirects=3)


@pytest.mark.parametrize(("method", "times"), [("GET", 3), ("PUT", 3), ("POST", 1), ("PATCH", 1)])
def test_only_idempotent_methods_are_repeated(
    ask: Ask, httpserver: HTTPServer, method: str, times: int
) -> None:
    httpserver.expect_request("/").respond_with_data("later", status=503, headers={"Retry-After": "0"})
    answer = ask("http.request", "/", method=method, fail=False)
    assert (answer["status"], len(httpserver.log)) == (503, times)


def test_a_later_answer_that_is_good_is_the_answer(ask: Ask, httpserver: HTTPServer) -> None:
    for status in (503, 429):
        httpserver.expect_ordered_request("/").respond_with_data(
            "", status=status, headers={"Retry-After": "0"}
        )
    httpserver.expect_ordered_request("/").respond_with_data("good")
    assert ask("http.get", "/")["text"] == "good"


def test_an_answer_that_is_too_large_is_cut_off_also_if_it_is_packed(
    ask: Ask, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/big").respond_with_data(b"x" * 100_000)
    bomb = gzip.compress(b"0" * 20_000_000)
    httpserver.expect_request("/bomb").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(OutputTooLarge, match="1,000 bytes"):
        ask("http.get", "/big", max_bytes=1000)
    with pytest.raises(OutputTooLarge):
        ask("http.get", "/bomb", max_bytes=1_000_000)


def test_a_failure_names_method_address_and_status_but_no_query(ask: Ask, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("no such thing", status=404)
    with pytest.raises(HttpFailed, match=r"GET .*/x: status 404: no such thing") as caught:
        ask("http.get", "/x", query={"token": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.details == {"status": 404}
    with pytest.raises(HttpFailed, match="says that it answers in JSON"):
        httpserver.expect_request("/j").respond_with_data("{", content_type="application/json")
        ask("http.get", "/j")


def test_a_server_that_does_not_answer_is_left_in_time(ask: Ask, httpserver: HTTPServer) -> None:
    import threading

    held = threading.Event()

    def wait(request: Request) -> Response:
        held.wait(20)
        return Response("late")

    httpserver.expect_request("/").respond_with_handler(wait)
    try:
        with pytest.raises(HttpFailed, match=r"within 0\.2 s") as caught:
            ask("http.get", "/", seconds=0.2, retries=0)
        assert caught.value.code in ("timeout", "http-failed")
    finally:
        held.set()


def test_nobody_there_is_told_after_the_last_try(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(http.asyncio, "sleep", sleep)
    with pytest.raises(HttpFailed, match=r"127\.0\.0\.1:9"):
        ask("http.get", "http://127.0.0.1:9/", hosts=("127.0.0.1:9",), retries=3)
    assert slept == [0.4, 0.8, 1.6]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"to": "ftp://localhost/"}, "no http address"),
        ({"to": "http://user:pw@localhost/"}, "user or a password"),
        ({"to": "http:///x"}, "no http address|url"),
        ({"to": "/", "seconds": 1e9}, "seconds"),
        ({"to": "/", "json": 1, "text": "x"}, "only one of json, text"),
        ({"to": "/", "query": {"a": {}}}, "neither text nor number"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is(ask: Ask, inputs: Any, message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        ask("http.request", **inputs)


def test_a_header_that_would_begin_another_one_is_refused(ask: Ask, httpserver: HTTPServer) -> None:
    with pytest.raises(SymphonyError):
        ask("http.get", "/", headers={"X": "a\r\nY: b"}, retries=0)
    assert httpserver.log == []
