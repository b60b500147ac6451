"""http.get and http.request against a real server on this machine."""

import asyncio
import gzip
import json
import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler

from symphony import Symphony
from symphony.commons.errors import SymphonyError
from symphony.commons.time import SystemClock
from symphony.kit import http, operators
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.kit.hosts import HostRefused
from symphony.kit.http_client import HttpFailed, in_turn
from symphony.sdk import Context


class Ask:
    """Asks the server, which is listed; `said` is what the operators wrote into their log."""

    def __init__(self, server: HTTPServer, folder: Path) -> None:
        self.server, self.folder, self.said = server, folder, list[str]()

    def __call__(
        self, name: str, to: str, *, hosts: tuple[str, ...] | None = None, **inputs: Any
    ) -> dict[str, Any]:
        """`to` is a path of the server, or a whole address."""
        context = Context(
            run_id="r", node="n", attempt=1, cwd=self.folder, base=self.folder,
            log=lambda text, stream: self.said.append(text), cancelled=lambda: False,
            allowed_hosts=(f"localhost:{self.server.port}",) if hosts is None else hosts,
        )  # fmt: skip
        operator = operators()[name]
        url = to if "://" in to else f"http://localhost:{self.server.port}{to}"
        returned = asyncio.run(operator.function(url=url, context=context, **inputs))  # type: ignore[arg-type]
        return operator.ports(returned)


@pytest.fixture
def ask(httpserver: HTTPServer, tmp_path: Path) -> Ask:
    return Ask(httpserver, tmp_path)


Names = dict[str, list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What the system's names lead to; fill it in."""
    known: Names = {}
    real = socket.getaddrinfo

    def looked_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in known:
            return real(host, port, *rest, **more)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in known[host]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return known


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


@pytest.mark.parametrize("written", ["flag", "a=x/y+z==&b", "sig=a%2fB;c", "x=1&x=2", "t=~!*'()", "=&&="])
def test_a_query_in_the_address_arrives_as_it_was_written(
    ask: Ask, httpserver: HTTPServer, written: str
) -> None:
    httpserver.expect_request("/q").respond_with_handler(lambda asked: Response(asked.query_string))
    assert ask("http.get", f"/q?{written}")["text"] == written
    assert ask("http.get", f"/q?{written}", query={"x": "a b"})["text"] == f"{written}&x=a+b"


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
    with pytest.raises(HttpFailed, match="not an address"):
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


def test_every_address_of_a_name_is_tried_in_turn(ask: Ask, httpserver: HTTPServer, names: Names) -> None:
    httpserver.expect_request("/").respond_with_data("here")
    names["localhost"] = ["::1", "127.0.0.9", "127.0.0.1"]
    assert ask("http.get", "/", retries=0)["text"] == "here"
    names["localhost"] = ["127.0.0.9", "::1", "::1"]
    with pytest.raises(HttpFailed, match=r"127\.0\.0\.9: .*, nor to ::1: "):
        ask("http.get", "/", retries=0)
    assert len(httpserver.log) == 1


@pytest.mark.slow
def test_an_address_that_says_nothing_leaves_time_for_the_others(
    ask: Ask, httpserver: HTTPServer, names: Names
) -> None:
    httpserver.expect_request("/").respond_with_data("here")
    with ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.9", httpserver.port))
        silent.listen(0)
        for _ in range(4):  # the queue is full then, and the kernel passes over whoever comes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", httpserver.port))
        names["localhost"] = ["127.0.0.9", "127.0.0.1"]
        assert ask("http.get", "/", retries=0, seconds=4)["text"] == "here"


def test_an_address_that_is_not_allowed_is_refused_though_another_one_would_answer(
    ask: Ask, httpserver: HTTPServer, names: Names
) -> None:
    port = httpserver.port
    for found in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::ffff:10.0.0.1"]):
        names["localhost"] = found
        with pytest.raises(HostRefused, match=r"leads to 10\.0\.0\.1"):
            ask("http.get", "/")
    names["api.example.org"] = ["93.184.216.34", "127.0.0.1"]
    with pytest.raises(HostRefused, match=r"leads to 127\.0\.0\.1"):
        ask("http.get", f"http://api.example.org:{port}/", hosts=(f"api.example.org:{port}",))
    assert httpserver.log == []


def test_families_take_turns_and_each_address_is_tried_once() -> None:
    found = [ip_address(one) for one in ("::1", "::2", "::1", "::3", "127.0.0.1", "127.0.0.2")]
    assert in_turn(found) == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]
    assert in_turn(found[4:]) == ["127.0.0.1", "127.0.0.2"]


def test_an_answer_that_broke_off_is_not_sought_at_another_address(
    ask: Ask, httpserver: HTTPServer, names: Names
) -> None:
    names["localhost"] = ["127.0.0.1", "127.0.0.2"]
    httpserver.expect_request("/").respond_with_handler(
        lambda request: Response(iter([b"half"]), headers={"Content-Length": "100"})
    )
    with pytest.raises(HttpFailed) as caught:
        ask("http.request", "/", text="x")
    assert caught.value.details == {"status": 200}
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    ("pattern", "url", "allowed"),
    [
        ("localhost", "http://localhost:{port}/", False),
        ("localhost:{port}", "http://localhost:{port}/", True),
        ("127.0.0.1", "http://127.0.0.1:{port}/", False),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}/", True),
        ("127.0.0.0/8", "http://127.0.0.1:{port}/", True),
        ("*.localhost:{port}", "http://app.localhost:{port}/", True),
        ("*.localhost", "http://app.localhost:{port}/", False),
        ("localhost:{other}", "http://localhost:{port}/", False),
    ],
)
def test_a_port_is_allowed_by_a_pattern_that_names_it_or_by_a_network(
    ask: Ask, httpserver: HTTPServer, names: Names, pattern: str, url: str, allowed: bool
) -> None:
    names["app.localhost"] = ["127.0.0.1"]
    port = httpserver.port
    httpserver.expect_request("/").respond_with_data("x")
    hosts = (pattern.format(port=port, other=port + 1),)
    if allowed:
        assert ask("http.get", url.format(port=port), hosts=hosts)["text"] == "x"
    else:
        with pytest.raises(HostRefused, match=f"port {port}"):
            ask("http.get", url.format(port=port), hosts=hosts)


def test_a_redirect_may_not_lead_to_a_port_that_is_not_listed(ask: Ask, httpserver: HTTPServer) -> None:
    there = f"http://localhost:{httpserver.port + 1}/"
    httpserver.expect_request("/").respond_with_data("", status=302, headers={"Location": there})
    with pytest.raises(HostRefused, match=f"port {httpserver.port + 1}"):
        ask("http.get", "/")


def test_with_no_redirects_the_redirect_is_the_answer(ask: Ask, httpserver: HTTPServer) -> None:
    for to in ("/end", "http://example.org/", "file:///etc/passwd"):
        httpserver.expect_ordered_request("/").respond_with_data("on", status=302, headers={"Location": to})
    for to in ("/end", "http://example.org/", "file:///etc/passwd"):
        answer = ask("http.get", "/", redirects=0)
        assert (answer["status"], answer["headers"]["location"], answer["text"]) == (302, to, "on")
    assert len(httpserver.log) == 3


def test_fail_false_tells_also_a_redirect_that_cannot_be_followed(ask: Ask, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/loop").respond_with_data("", status=301, headers={"Location": "/loop"})
    assert ask("http.get", "/loop", redirects=3, fail=False)["status"] == 301
    httpserver.expect_request("/file").respond_with_data("", status=301, headers={"Location": "file:///x"})
    assert ask("http.get", "/file", fail=False)["status"] == 301


def test_cookies_do_not_travel_not_even_to_the_same_host(
    ask: Ask, httpserver: HTTPServer, names: Names
) -> None:
    names["one.localhost"] = names["two.localhost"] = ["127.0.0.1"]
    seen: list[str | None] = []

    def end(request: Request) -> Response:
        seen.append(request.headers.get("Cookie"))
        return Response("there")

    port = httpserver.port
    for path, there in (("/near", "/end"), ("/far", f"http://two.localhost:{port}/end")):
        httpserver.expect_request(path).respond_with_data(
            "", status=302, headers={"Location": there, "Set-Cookie": "session=secret; Path=/"}
        )
    httpserver.expect_request("/end").respond_with_handler(end)
    hosts = (f"*.localhost:{port}",)
    for path in ("/near", "/far"):
        ask("http.get", f"http://one.localhost:{port}{path}", hosts=hosts)
    ask("http.get", f"http://one.localhost:{port}/near", hosts=hosts, headers={"Cookie": "mine=1"})
    ask("http.get", f"http://one.localhost:{port}/far", hosts=hosts, headers={"Cookie": "mine=1"})
    assert seen == [None, None, "mine=1", None]


def test_no_connection_is_used_for_a_second_host(ask: Ask, httpserver: HTTPServer, names: Names) -> None:
    """Names at one address must not share a connection: only the first one's certificate was looked at."""
    names["one.localhost"] = names["two.localhost"] = ["127.0.0.1"]
    ports: list[int] = []

    def note(request: Request) -> Response:
        ports.append(request.environ["REMOTE_PORT"])
        there = f"http://two.localhost:{httpserver.port}/"
        return Response("", 302, {"Location": there}) if "one" in request.host else Response("x")

    httpserver.expect_request("/").respond_with_handler(note)
    ask("http.get", f"http://one.localhost:{httpserver.port}/", hosts=(f"*.localhost:{httpserver.port}",))
    assert len(set(ports)) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["date", "rfc850", "asctime", "seconds", "fraction", "past"])
def test_retry_after_is_heeded_in_every_form(
    ask: Ask, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, form: str
) -> None:
    now = datetime.fromtimestamp(int(SystemClock.now_s()), UTC)
    then = now + timedelta(seconds=20)
    said = {
        "date": formatdate(then.timestamp(), usegmt=True),
        "rfc850": then.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
        "asctime": then.strftime("%a %b %e %H:%M:%S %Y"),
        "seconds": "20",
        "fraction": "20.0",
        "past": formatdate(now.timestamp() - 100, usegmt=True),
    }[form]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(http.asyncio, "sleep", sleep)
    head = {"Retry-After": said, "Date": formatdate(now.timestamp(), usegmt=True)}
    httpserver.expect_ordered_request("/").respond_with_data("", status=status, headers=head)
    httpserver.expect_ordered_request("/").respond_with_data("good")
    assert ask("http.get", "/")["text"] == "good"
    assert [s for s in slept if s] == ([] if form == "past" else [pytest.approx(20, abs=3)])


def test_the_wait_that_an_error_tells_is_measured_with_the_clock_of_the_server(
    ask: Ask, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_s = int(SystemClock.now_s()) - 3_600  # an hour behind
    monkeypatch.setattr(WSGIRequestHandler, "date_time_string", lambda _: formatdate(there_s, usegmt=True))
    head = {"Retry-After": formatdate(there_s + 90, usegmt=True)}
    httpserver.expect_request("/").respond_with_data("slow down", status=429, headers=head)
    with pytest.raises(HttpFailed, match="slow down") as caught:
        ask("http.get", "/")
    assert caught.value.details["retry_after_s"] == 90


@pytest.mark.parametrize("told", ["40", "date", "3600", "99999999999", None])
def test_a_wait_beyond_the_patience_shows_the_answer_and_no_timeout(
    ask: Ask, httpserver: HTTPServer, told: str | None
) -> None:
    at = formatdate(SystemClock.now_s() + 40, usegmt=True)
    said = {} if told is None else {"Retry-After": at if told == "date" else told}
    httpserver.expect_request("/").respond_with_data("slow down", status=429, headers=said)
    seconds = 0.3 if told is None else 30  # waits of its own are longer than that, too
    with pytest.raises(HttpFailed, match="status 429: slow down") as caught:
        ask("http.get", "/", seconds=seconds)
    assert (caught.value.code, caught.value.details["status"]) == ("http-failed", 429)
    if told == "40":
        assert caught.value.details["retry_after_s"] == 40
        assert "asks to wait 40 s" in str(caught.value.hint)
    assert ask("http.get", "/", seconds=seconds, fail=False)["status"] == 429
    assert len(httpserver.log) == 2


async def test_a_wait_beyond_the_nodes_own_timeout_shows_the_answer_and_no_timeout(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    httpserver.expect_request("/").respond_with_data("slow", status=429, headers={"Retry-After": "20"})
    url = f"http://localhost:{httpserver.port}/"
    (tmp_path / "flow.yaml").write_text(
        f"name: Ask\nnodes: {{a: {{operator: http.get, timeout: 10s, inputs: {{url: '{url}'}}}}}}\n"
    )
    async with Symphony.open(home=tmp_path / "home") as symphony:
        allowed = [f"localhost:{httpserver.port}"]
        run = await symphony.start(tmp_path / "flow.yaml", {}, allow_hosts=allowed)
        result = await run.result()
    assert "status 429: slow" in str(result.error)
    assert len(httpserver.log) == 1


def test_a_server_that_hangs_after_it_refused_is_told_with_what_it_said(
    ask: Ask, httpserver: HTTPServer
) -> None:
    held = threading.Event()

    def wait(request: Request) -> Response:
        held.wait(60)
        return Response("late")

    for path in ("/a", "/b"):
        httpserver.expect_oneshot_request(path).respond_with_data(
            "busy", status=503, headers={"Retry-After": "0"}
        )
        httpserver.expect_request(path).respond_with_handler(wait)
    try:
        with pytest.raises(HttpFailed, match="before that it answered 503") as caught:
            ask("http.get", "/a", seconds=0.5)
        assert (caught.value.code, caught.value.details) == ("timeout", {"status": 503})
        held.set()
        held = threading.Event()
        assert ask("http.get", "/b", seconds=0.5, fail=False)["text"] == "busy"
    finally:
        held.set()
    while len(httpserver.log) < 4:  # what is late is not to be heard in the next test
        continue


@pytest.mark.parametrize(
    "inputs",
    [
        {"json": float("nan")}, {"json": {"a": [float("inf")]}}, {"json": {"a": b"x"}}, {"json": [2**64]},
        {"json": "\ud800"}, {"json": {"\ud800": 1}}, {"text": "\ud800"}, {"form": {"a": "\ud800"}},
        {"form": {"a": float("nan")}}, {"query": {"a": float("inf")}}, {"query": {"a": "\udcff"}},
        {"query": {"a": b"x"}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_body_cannot_say_is_refused_and_not_changed(
    ask: Ask, httpserver: HTTPServer, inputs: Any
) -> None:
    with pytest.raises(InputRefused):
        ask("http.request", "/", **inputs)
    assert httpserver.log == []


def test_a_json_body_arrives_as_it_was(ask: Ask, httpserver: HTTPServer) -> None:
    value = {"b": [1, 1.5, -0.0, 1e300, None, True, 2**63 - 1, "ü\0"], "a": {}}
    httpserver.expect_request("/").respond_with_handler(
        lambda request: Response(request.get_data(as_text=True))
    )
    assert json.loads(ask("http.request", "/", json=value)["text"]) == value


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
    httpserver.expect_request("/x").respond_with_data("no such thing" * 99, status=404)
    with pytest.raises(HttpFailed, match=r"GET .*/x: status 404: no such thing.{287}…$") as caught:
        ask("http.get", "/x", query={"token": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.details == {"status": 404}


BODIES = [
    (b"{", None, "line 1, column 2"),
    (b"upstream down", None, "line 1, column 1"),
    (b"<html>Bad gateway</html>", None, "line 1, column 1"),
    (b'{"a": NaN}', None, "line 1"),
    (b'{"id": 18446744073709551616}', None, "64 bits"),
    (b'{"a": "\\ud800"}', None, "line 1"),
    (b'{"a": 1} {"a": 2}', None, "line 1"),
    (b"[" * 100_000, None, "line 1"),
    (b"\xef\xbb\xbf" + b'{"a": 1}', {"a": 1}, None),
    ('{"a": "é"}'.encode(), {"a": "é"}, None),
    (b"", None, None),
]


@pytest.mark.parametrize(("body", "value", "why"), BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json; charset=utf-8"])
def test_a_body_that_is_no_json_is_told_as_text_with_a_remark(
    ask: Ask, httpserver: HTTPServer, body: bytes, value: Any, why: str | None, content_type: str
) -> None:
    httpserver.expect_request("/").respond_with_data(body, content_type=content_type)
    answer = ask("http.get", "/")
    assert (answer["status"], answer["json"], answer["data"]) == (200, value, None)
    assert answer["text"] == body.decode("utf-8-sig")
    assert (why is None) == (not ask.said)
    if why is not None:
        assert "says that it is JSON" in ask.said[-1]
        assert why in ask.said[-1]


@pytest.mark.parametrize(("body", "value", "why"), BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_no_json_hides_neither_status_nor_retry_nor_fail(
    ask: Ask, httpserver: HTTPServer, body: bytes, value: Any, why: str | None
) -> None:
    def bad(status: int) -> None:
        httpserver.expect_ordered_request("/").respond_with_data(
            body, status=status, content_type="application/json", headers={"Retry-After": "0"}
        )

    bad(503)
    httpserver.expect_ordered_request("/").respond_with_json({"good": 1})
    assert ask("http.get", "/")["json"] == {"good": 1}
    bad(404)
    with pytest.raises(HttpFailed, match="status 404") as caught:
        ask("http.get", "/")
    assert caught.value.details["status"] == 404
    bad(404)
    answer = ask("http.get", "/", fail=False)
    assert (answer["status"], answer["json"]) == (404, value)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(b"x" * 100_000)[:50], "gzip"),
        (b"no gzip at all", "gzip"),
        (b"no deflate", "deflate"),
        (b"x", "br"),
        (b"x", "gzip, gzip, gzip"),
        (gzip.compress(b"0" * 20_000_000), "gzip"),
    ],
    ids=["cut", "plain", "deflate", "unknown", "often", "bomb"],
)
def test_a_body_that_cannot_be_unpacked_hides_no_status(
    ask: Ask, httpserver: HTTPServer, body: bytes, coding: str
) -> None:
    for status, inputs in ((200, {}), (404, {}), (404, {"fail": False})):
        httpserver.expect_ordered_request("/").respond_with_data(
            body, status=status, headers={"Content-Encoding": coding}
        )
        with pytest.raises(SymphonyError, match=f"status {status}") as caught:
            ask("http.get", "/", max_bytes=100_000, **inputs)
        assert caught.value.details["status"] == status
    assert len(httpserver.log) == 3


def test_a_server_that_does_not_answer_is_left_in_time(ask: Ask, httpserver: HTTPServer) -> None:
    held = threading.Event()

    def wait(request: Request) -> Response:
        held.wait(60)
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
        ({"to": "ftp://localhost/"}, "not an http address"),
        ({"to": "http://user:pw@localhost/"}, "user or a password"),
        ({"to": "http:///x"}, "not an http address|url"),
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
