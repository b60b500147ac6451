"""Requests over HTTP to hosts that are allowed: `http.get`, `http.request`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict
from urllib.parse import urlencode

import msgspec

from symphony.commons.backoff import backoff_s
from symphony.commons.cutting import beginning
from symphony.commons.deadline import left_s
from symphony.commons.errors import Detail, SerializationFailed
from symphony.commons.time import SystemClock
from symphony.ipc.values import check_json
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.hosts import Allowed
from symphony.kit.http_bodies import ACCEPTED_CODINGS, Content, Unpackable, content_of
from symphony.kit.http_client import (
    PIECES_AT_ONCE,
    HttpFailed,
    Unanswered,
    client,
    numbered,
    patience,
    resolved,
)
from symphony.kit.retry_after import asked_wait_s
from symphony.ports.values import Value
from symphony.sdk import Context, Json, operator

if TYPE_CHECKING:
    import httpx2

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

BYTES_MAX: Final = 16 * 1024 * 1024
SECONDS_MAX: Final = 3_600.0
REDIRECTS_MAX: Final = 10
RETRY_AFTER_MAX_S: Final = 60.0
_AGAIN: Final = frozenset({429, 502, 503, 504})
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Idempotent methods: RFC 9110, 9.2.2."""
_KEPT_ELSEWHERE: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})
_EXCERPT: Final = 300


class HttpResponse(TypedDict):
    """A server's response."""

    status: int
    url: str
    headers: dict[str, str]
    text: str | None
    data: bytes | None
    json: Json


@operator("http.get", version="1.0.0", read=True)
async def get(
    url: str,
    context: Context,
    headers: dict[str, str] = {},  # noqa: B006
    query: dict[str, Value] = {},  # noqa: B006
    seconds: float = 30.0,
    retries: int = 2,
    redirects: int = 5,
    max_bytes: int = BYTES_MAX,
    fail: bool = True,
) -> HttpResponse:
    """Send a GET request over HTTP to an allowed host.

    Hosts are allowed by `[http] allow` in the configuration and by `--allow-host`; all others are
    refused, also where a redirect leads to them, and so are addresses that are not public unless they
    are listed themselves. No proxy and no cookies are used.

    url: http or https, without user and password
    headers: by name; a value from `env` is hidden wherever it would be written down
    query: what to add to the address: texts, numbers, or lists of them
    seconds: fail if the whole takes longer, new tries and the waits between them included
    retries: how often to try again if there is no answer, or one of 429, 502, 503 and 504
    redirects: how many to follow, at most 10; to another host only harmless headers go along. With 0
        a redirect is itself the answer
    max_bytes: fail if the body is larger, unpacked
    fail: fail if the status is 400 or higher

    Returns:
        status: the status
        url: where the answer came from at last
        headers: by name in lower case
        text: the body if it is text; null otherwise
        data: the body if it is not; null otherwise
        json: what the body holds if it says that it is JSON, and is; null otherwise
    """
    request = HttpRequest("GET", url, dict(headers), query, None, None)
    return await _answer(request, context, HttpLimits(seconds, retries, redirects, max_bytes, fail))


@operator("http.request", version="1.0.0")
async def request(
    url: str,
    context: Context,
    method: Method = "POST",
    headers: dict[str, str] = {},  # noqa: B006
    query: dict[str, Value] = {},  # noqa: B006
    json: Value = None,
    text: str | None = None,
    data: bytes | None = None,
    form: dict[str, Value] | None = None,
    seconds: float = 30.0,
    retries: int = 2,
    redirects: int = 5,
    max_bytes: int = BYTES_MAX,
    fail: bool = True,
) -> HttpResponse:
    """Send a request over HTTP to an allowed host.

    Hosts are allowed by `[http] allow` in the configuration and by `--allow-host`.

    It may change the world: after a crash in the middle the node waits for somebody's decision, unless
    it says `idempotent: true`. For plain questions use http.get.

    url: http or https, without user and password
    method: POST, PUT, PATCH, DELETE, GET, HEAD or OPTIONS
    headers: by name; a value from `env` is hidden wherever it would be written down
    query: what to add to the address: texts, numbers, or lists of them
    json: the body as JSON; give at most one of json, text, data and form
    text: the body as text, UTF-8
    data: the body as bytes
    form: the body as fields of a form
    seconds: fail if the whole takes longer, new tries and the waits between them included
    retries: how often to try again if there is no answer, or one of 429, 502, 503 and 504; POST and
        PATCH are never repeated
    redirects: how many to follow, at most 10; to another host only harmless headers go along. With 0
        a redirect is itself the answer
    max_bytes: fail if the body of the answer is larger, unpacked
    fail: fail if the status is 400 or higher

    Returns:
        status: the status
        url: where the answer came from at last
        headers: by name in lower case
        text: the body if it is text; null otherwise
        data: the body if it is not; null otherwise
        json: what the body holds if it says that it is JSON, and is; null otherwise
    """
    body, content_type = await asyncio.to_thread(_body, json, text, data, form)
    asked = HttpRequest(method, url, dict(headers), query, body, content_type)
    return await _answer(asked, context, HttpLimits(seconds, retries, redirects, max_bytes, fail))


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it was asked for."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, Value]
    body: bytes | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of a request."""

    seconds: float
    retries: int
    redirects: int
    max_bytes: int
    fail: bool

    def __post_init__(self) -> None:
        for name, value, most in (
            ("seconds", self.seconds, SECONDS_MAX),
            ("retries", self.retries, 10),
            ("redirects", self.redirects, REDIRECTS_MAX),
            ("max_bytes", self.max_bytes, 1 << 30),
        ):
            if not 0 <= value <= most:
                raise InputRefused(f"input {name} must lie between 0 and {most:,}", hint="change it")


def _body(
    json: Value, text: str | None, data: bytes | None, form: Mapping[str, Value] | None
) -> tuple[bytes | None, str | None]:
    given = [
        name
        for name, value in (("json", json), ("text", text), ("data", data), ("form", form))
        if value is not None
    ]
    if len(given) > 1:
        raise InputRefused(f"http.request takes only one of {', '.join(given)}", hint="leave the others out")
    try:
        if json is not None:
            check_json(json, "input json")
            return msgspec.json.encode(json), "application/json"
        if text is not None:
            return text.encode(), "text/plain; charset=utf-8"
        if form is not None:
            return urlencode(_pairs("form", form)).encode(), "application/x-www-form-urlencoded"
    except SerializationFailed as error:
        raise InputRefused(error.message, hint=error.hint) from error
    except (UnicodeEncodeError, RecursionError) as error:
        raise InputRefused(f"input {given[0]} cannot be sent: {error}", hint="give valid Unicode") from error
    return data, None if data is None else "application/octet-stream"


def _pairs(name: str, given: Mapping[str, Value]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                pairs.append((key, "true" if one else "false"))
            elif isinstance(one, float) and not isfinite(one):
                raise InputRefused(f"input {name}: {key} is not a finite number", hint="leave it out")
            elif isinstance(one, str | int | float):
                pairs.append((key, str(one)))
            elif one is not None:
                raise InputRefused(f"input {name}: {key} is neither text nor number", hint="write it as text")
    return pairs


async def _answer(asked: HttpRequest, context: Context, limits: HttpLimits) -> HttpResponse:
    try:
        allowed = Allowed.of(context.allowed_hosts)
    except ValueError as error:
        raise InputRefused(f"the list of allowed hosts: {error}", hint="correct [http] allow") from error
    reply = await _tried(asked, allowed, limits)
    failed = limits.fail and reply.status >= 400
    try:
        content = await _content(reply, limits)
    except (Unpackable, OutputTooLarge) as error:
        if not failed:
            what = f"{asked.method} {_shown(reply.url)}: status {reply.status}, but {error}"
            if isinstance(error, OutputTooLarge):
                raise OutputTooLarge(what, details={"status": reply.status}, hint=error.hint) from error
            raise HttpFailed(
                what, details={"status": reply.status}, hint="ask the server's keeper"
            ) from error
        content = Content()
    if failed:
        raise _failure(asked, reply, content.text or "")
    for remark in content.remarks:
        context.log(f"{_shown(reply.url)} {remark}\n", "stderr")
    return HttpResponse(
        status=reply.status, url=reply.url, headers=reply.headers, text=content.text, data=content.data,
        json=content.json,
    )  # fmt: skip


def _failure(asked: HttpRequest, reply: "Reply", text: str) -> HttpFailed:
    said = beginning(" ".join(beginning(text, 4 * _EXCERPT).split()), _EXCERPT)
    details: dict[str, Detail] = {"status": reply.status}
    hint = "see what the server says; with fail: false you get the answer anyway"
    wait_s = asked_wait_s(reply.headers.get("retry-after"), _now_s(reply))
    if wait_s is not None and isfinite(wait_s):
        details["retry_after_s"] = wait_s
        hint = (
            f"the server asks to wait {wait_s:,.0f} s: ask later, or give the node a retry with such a delay"
        )
    return HttpFailed(
        f"{asked.method} {_shown(reply.url)}: status {reply.status}{f': {said}' if said else ''}",
        details=details, hint=hint,
    )  # fmt: skip


async def _content(reply: "Reply", limits: HttpLimits) -> Content:
    """Return what the body holds, found in a thread: it may be large, and packed in any way."""
    gone = False

    def stop() -> None:
        if gone:
            raise Stopped("nobody waits for the answer any more")

    try:
        return await asyncio.to_thread(
            content_of, reply.body, content_type=reply.headers.get("content-type", ""), charset=reply.charset,
            coding=reply.headers.get("content-encoding", ""), most=limits.max_bytes, stop=stop,
        )  # fmt: skip
    except asyncio.CancelledError:
        gone = True
        raise


async def _tried(asked: HttpRequest, allowed: Allowed, limits: HttpLimits) -> "Reply":
    """Ask, and ask again where that is harmless and may help, all within `limits.seconds`."""
    attempts = limits.retries + 1 if asked.method in _REPEATABLE else 1
    loop = asyncio.get_running_loop()
    end, last = loop.time() + limits.seconds, None
    last_start = min(end, loop.time() + left_s())  # a try that begins later would be cut off
    for attempt in range(1, attempts + 1):
        delay_s = backoff_s(attempt, base_s=0.4, cap_s=10.0)
        try:
            async with asyncio.timeout_at(end):
                reply = await _followed(asked, allowed, limits)
        except Unanswered:
            if attempt == attempts or loop.time() + delay_s >= last_start:
                raise
        except TimeoutError:
            if last is not None and not limits.fail:
                return last
            raise _late(asked, limits, last) from None
        else:
            last = reply
            told_s = asked_wait_s(reply.headers.get("retry-after"), _now_s(reply))
            delay_s = delay_s if told_s is None else told_s
            too_late = delay_s > RETRY_AFTER_MAX_S or loop.time() + delay_s >= last_start
            if attempt == attempts or reply.status not in _AGAIN or too_late:
                return reply
        await asyncio.sleep(delay_s)
    raise AssertionError("at least one attempt returns or raises")


def _now_s(reply: "Reply") -> float:
    """Return the time by the server's own clock, which is what its dates are measured with."""
    here_s = SystemClock.now_s()
    there_s = asked_wait_s(reply.headers.get("date", "-"), 0.0)
    return here_s if there_s is None else there_s


def _late(asked: HttpRequest, limits: HttpLimits, last: "Reply | None") -> HttpFailed:
    before = "" if last is None else f"; before that it answered {last.status}"
    return HttpFailed(
        f"{asked.method} {_shown(asked.url)}: no whole answer within {limits.seconds:g} s{before}",
        code="timeout",
        details={} if last is None else {"status": last.status},
        hint="raise `seconds`, or look whether the server works",
    )


def _asked_url(asked: HttpRequest) -> "httpx2.URL":
    """Return the address with `query` behind what stands in it, which stays as it was written: it may
    be signed.
    """
    url = _url(asked.url)
    try:
        added = urlencode(_pairs("query", asked.query)).encode("ascii")
    except UnicodeEncodeError as error:
        raise InputRefused(f"input query: {error}", hint="give valid Unicode") from error
    return url.copy_with(query=b"&".join(part for part in (url.query, added) if part)) if added else url


async def _followed(asked: HttpRequest, allowed: Allowed, limits: HttpLimits) -> "Reply":
    """Return the answer after all redirects. Each redirect is checked again."""
    import httpx2

    url = origin = _asked_url(asked)
    async with client(limits.seconds) as open_client:
        for left in range(limits.redirects, -1, -1):
            reply = await _once(open_client, asked, url, allowed, limits)
            target = reply.headers.get("location") if reply.status in (301, 302, 303, 307, 308) else None
            if target is None or limits.redirects == 0 or (left == 0 and not limits.fail):
                return reply
            if left == 0:
                raise HttpFailed(
                    f"{_shown(asked.url)} leads on more than {limits.redirects} times",
                    details={"status": reply.status}, hint="give the address it ends at",
                )  # fmt: skip
            before = url
            try:
                url = _url(str(url.join(target)))
            except (httpx2.InvalidURL, InputRefused) as error:
                if not limits.fail:
                    return reply
                raise HttpFailed(
                    f"{_shown(str(url))} leads to {beginning(target, 200)!r}, which is not an address",
                    details={"status": reply.status}, hint="redirects: 0 gives the redirect itself",
                ) from error  # fmt: skip
            asked = _led_on(asked, reply.status, elsewhere=_place(url) != _place(origin))
            if asked.body is not None and (before.scheme, url.scheme) == ("https", "http"):
                raise HttpFailed(
                    f"{_shown(str(before))} leads from https to http, where the body could be read by others",
                    details={"status": reply.status}, hint="give the address it ends at, if that is meant",
                )  # fmt: skip
    raise AssertionError("the last redirect returns or raises")


def _led_on(asked: HttpRequest, status: int, *, elsewhere: bool) -> HttpRequest:
    """Return the request as it is repeated after a redirect (RFC 9110, 15.4)."""
    if elsewhere:
        kept = {k: v for k, v in asked.headers.items() if k.lower() in _KEPT_ELSEWHERE}
        asked = replace(asked, headers=kept)
    if asked.method != "HEAD" and (status == 303 or (status in (301, 302) and asked.method == "POST")):
        headers = {k: v for k, v in asked.headers.items() if not k.lower().startswith("content-")}
        asked = replace(asked, method="GET", body=None, content_type=None, headers=headers)
    return asked


def _place(url: "httpx2.URL") -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _url(text: str) -> "httpx2.URL":
    import httpx2

    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise InputRefused(
            f"input url: {error}", hint="write for instance https://api.example.org/v1"
        ) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InputRefused(
            f"input url: {beginning(text, 100)!r} is not an http address", hint="begin with https://"
        )
    if url.userinfo:
        raise InputRefused("input url holds a user or a password", hint="send them in a header, from env")
    return url


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came: its body is neither unpacked nor decoded."""

    status: int
    url: str
    headers: dict[str, str]
    charset: str | None
    body: bytearray


async def _once(
    open_client: "httpx2.AsyncClient",
    asked: HttpRequest,
    url: "httpx2.URL",
    allowed: Allowed,
    limits: HttpLimits,
) -> Reply:
    """One request to an address that was checked: the name is not looked up a second time."""
    import httpx2

    allowed.check_host(url.scheme, url.host, url.port)
    addresses = await resolved(url, allowed)
    given = {k.lower(): v for k, v in asked.headers.items()}
    headers = {"user-agent": "symphony", "accept": "*/*", "accept-encoding": ACCEPTED_CODINGS, **given}
    headers["host"] = url.netloc.decode("ascii")
    if asked.content_type is not None:
        headers.setdefault("content-type", asked.content_type)
    refusals: list[str] = []
    for number, address in enumerate(addresses, start=1):
        wait = patience(limits.seconds, left=len(addresses) - number)
        try:
            made = open_client.build_request(
                asked.method, url.copy_with(host=address), headers=headers, content=asked.body,
                extensions={"sni_hostname": url.host}, timeout=wait,
            )  # fmt: skip
            response = await open_client.send(made, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            refusals.append(f"{address}: {str(error) or type(error).__name__}")
            continue
        except (httpx2.HTTPError, ValueError, UnicodeError) as error:
            raise _unanswered(asked, url, str(error) or type(error).__name__) from error
        try:
            body = await _bounded(response, limits, asked, url)
        finally:
            await response.aclose()
        return Reply(
            response.status_code, str(url), dict(response.headers.items()), response.charset_encoding, body
        )
    raise _unanswered(asked, url, f"cannot connect to {', nor to '.join(refusals)}")


def _unanswered(asked: HttpRequest, url: "httpx2.URL", why: str, status: int | None = None) -> Unanswered:
    return Unanswered(
        f"{asked.method} {_shown(str(url))}: {why}",
        details={} if status is None else {"status": status}, hint="look whether the server works",
    )  # fmt: skip


async def _bounded(
    response: "httpx2.Response", limits: HttpLimits, asked: HttpRequest, url: "httpx2.URL"
) -> bytearray:
    """Return the body as it comes. Of an answer that is a failure anyway, a part will do."""
    import httpx2

    body, status = bytearray(), response.status_code
    a_part_will_do = limits.fail and status >= 400
    try:
        async for number, piece in numbered(response.aiter_raw()):
            body += piece
            if len(body) > limits.max_bytes:
                if a_part_will_do:
                    break
                raise OutputTooLarge(
                    f"the answer of {_shown(str(url))} has more than {limits.max_bytes:,} bytes",
                    details={"status": status}, hint="raise max_bytes",
                )  # fmt: skip
            if number % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)  # a server that sends byte by byte keeps nobody else waiting
    except httpx2.HTTPError as error:
        if not a_part_will_do:
            why = f"status {status}, and then {str(error) or type(error).__name__}"
            raise _unanswered(asked, url, why, status) from error
    return body


def _shown(url: str) -> str:
    """Return an address without its query, which may hold a secret."""
    return beginning(url.partition("?")[0], 200)
