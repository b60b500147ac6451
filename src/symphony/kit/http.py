"""Requests over HTTP to hosts that are allowed: `http.get`, `http.request`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict
from urllib.parse import urlencode

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.kit.hosts import Allowed, address_of
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
_TEXTUAL: Final = ("text/", "application/json", "application/xml", "application/javascript", "+json", "+xml")
_EXCERPT: Final = 300


class HttpFailed(SymphonyError):
    """No answer came, or one that tells of a failure. `details`: `status`, if there is one."""

    code = "http-failed"


class Unanswered(HttpFailed):
    """No answer came, or half of one: trying again may help."""


class Answer(TypedDict):
    """What a server answered."""

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
) -> Answer:
    """Get something over HTTP from a host that is allowed.

    Hosts are allowed by `[http] allow` in the configuration and by `--allow-host`; all others are
    refused, also where a redirect leads to them, and so are addresses that are not public unless they
    are listed themselves. No proxy and no cookies are used.

    url: http or https, without user and password
    headers: by name; a value from `env` is hidden wherever it would be written down
    query: what to add to the address: texts, numbers, or lists of them
    seconds: fail if the whole takes longer
    retries: how often to try again if there is no answer, or one of 429, 502, 503 and 504
    redirects: how many to follow, at most 10; to another host only harmless headers go along
    max_bytes: fail if the body is larger, unpacked
    fail: fail if the status is 400 or higher

    Returns:
        status: the status
        url: where the answer came from at last
        headers: by name in lower case
        text: the body if it is text; null otherwise
        data: the body if it is not; null otherwise
        json: what the body holds if it says that it is JSON; null otherwise
    """
    request = Asked("GET", url, dict(headers), query, None, None)
    return await _answer(request, context, Limits(seconds, retries, redirects, max_bytes, fail))


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
) -> Answer:
    """Send something over HTTP to a host that is allowed; see http.get for what is allowed.

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
    seconds: fail if the whole takes longer
    retries: how often to try again if there is no answer, or one of 429, 502, 503 and 504; POST and
        PATCH are never repeated
    redirects: how many to follow, at most 10; to another host only harmless headers go along
    max_bytes: fail if the body of the answer is larger, unpacked
    fail: fail if the status is 400 or higher

    Returns:
        status: the status
        url: where the answer came from at last
        headers: by name in lower case
        text: the body if it is text; null otherwise
        data: the body if it is not; null otherwise
        json: what the body holds if it says that it is JSON; null otherwise
    """
    body, content_type = _body(json, text, data, form)
    asked = Asked(method, url, dict(headers), query, body, content_type)
    return await _answer(asked, context, Limits(seconds, retries, redirects, max_bytes, fail))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it was asked for."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, Value]
    body: bytes | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may take."""

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
    if json is not None:
        return msgspec.json.encode(json), "application/json"
    if text is not None:
        return text.encode(), "text/plain; charset=utf-8"
    if form is not None:
        return urlencode(_pairs("form", form)).encode(), "application/x-www-form-urlencoded"
    return data, None if data is None else "application/octet-stream"


def _pairs(name: str, given: Mapping[str, Value]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                pairs.append((key, "true" if one else "false"))
            elif isinstance(one, str | int | float):
                pairs.append((key, str(one)))
            elif one is not None:
                raise InputRefused(f"input {name}: {key} is neither text nor number", hint="write it as text")
    return pairs


async def _answer(asked: Asked, context: Context, limits: Limits) -> Answer:
    try:
        allowed = Allowed.of(context.allowed_hosts)
    except ValueError as error:
        raise InputRefused(f"the list of allowed hosts: {error}", hint="correct [http] allow") from error
    try:
        async with asyncio.timeout(limits.seconds):
            answer = await _tried(asked, allowed, limits)
    except TimeoutError:
        raise HttpFailed(
            f"{asked.method} {_shown(asked.url)}: no whole answer within {limits.seconds:g} s",
            code="timeout", hint="raise `seconds`, or look whether the server works",
        ) from None  # fmt: skip
    if limits.fail and answer["status"] >= 400:
        said = " ".join((answer["text"] or "").split())[:_EXCERPT]
        raise HttpFailed(
            f"{asked.method} {_shown(answer['url'])}: status {answer['status']}{f': {said}' if said else ''}",
            details={"status": answer["status"]},
            hint="see what the server says; fail: false gives the answer all the same",
        )
    return answer


async def _tried(asked: Asked, allowed: Allowed, limits: Limits) -> Answer:
    """Ask, and ask again where that is harmless and may help."""
    attempts = limits.retries + 1 if asked.method in _REPEATABLE else 1
    for attempt in range(1, attempts + 1):
        try:
            answer = await _followed(asked, allowed, limits)
        except Unanswered:
            if attempt == attempts:
                raise
            delay_s: float | None = None
        else:
            told = answer["headers"].get("retry-after", "")
            delay_s = float(told) if told.isdecimal() and len(told) < 6 else None
            late = delay_s is not None and delay_s > RETRY_AFTER_MAX_S
            if attempt == attempts or answer["status"] not in _AGAIN or late:
                return answer
        await asyncio.sleep(min(0.2 * 2.0**attempt, 10.0) if delay_s is None else delay_s)
    raise AssertionError("at least one attempt returns or raises")


async def _followed(asked: Asked, allowed: Allowed, limits: Limits) -> Answer:
    """The answer after all redirects, each of which is checked anew."""
    import httpx2

    url = _url(asked.url).copy_merge_params(urlencode(_pairs("query", asked.query)))
    origin = url
    async with _client(limits.seconds) as client:
        for _ in range(limits.redirects + 1):
            answer = await _once(client, asked, url, allowed, limits)
            target = (
                answer["headers"].get("location") if answer["status"] in (301, 302, 303, 307, 308) else None
            )
            if target is None:
                return answer
            try:
                url = _url(str(url.join(target)))
            except (httpx2.InvalidURL, InputRefused) as error:
                raise HttpFailed(
                    f"{_shown(str(url))} leads to {target[:200]!r}, which is no address"
                ) from error
            if (url.scheme, url.host, url.port) != (origin.scheme, origin.host, origin.port):
                kept = {k: v for k, v in asked.headers.items() if k.lower() in _KEPT_ELSEWHERE}
                asked = replace(asked, headers=kept)
            changes = answer["status"] == 303 or (answer["status"] in (301, 302) and asked.method == "POST")
            if changes and asked.method != "HEAD":
                asked = replace(asked, method="GET", body=None, content_type=None)
    raise HttpFailed(
        f"{_shown(asked.url)} leads on more than {limits.redirects} times", hint="give the address it ends at"
    )


@asynccontextmanager
async def _client(seconds: float) -> "AsyncIterator[httpx2.AsyncClient]":
    import httpx2

    # trust_env: a proxy of the environment would resolve the names itself, unchecked
    async with httpx2.AsyncClient(
        trust_env=False, timeout=max(seconds, 0.001), follow_redirects=False
    ) as client:
        yield client


def _url(text: str) -> "httpx2.URL":
    import httpx2

    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise InputRefused(
            f"input url: {error}", hint="write for instance https://api.example.org/v1"
        ) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InputRefused(f"input url: {text[:100]!r} is no http address", hint="begin with https://")
    if url.userinfo:
        raise InputRefused("input url holds a user or a password", hint="send them in a header, from env")
    return url


async def _once(
    client: "httpx2.AsyncClient", asked: Asked, url: "httpx2.URL", allowed: Allowed, limits: Limits
) -> Answer:
    """One request to one address that was checked: the name is not looked up a second time."""
    import httpx2

    allowed.check_host(url.scheme, url.host, url.port)
    address = await _resolved(url, allowed)
    headers = {"user-agent": "symphony", "accept": "*/*", **{k.lower(): v for k, v in asked.headers.items()}}
    headers["host"] = url.netloc.decode("ascii")
    if asked.content_type is not None:
        headers.setdefault("content-type", asked.content_type)
    try:
        made = client.build_request(
            asked.method, url.copy_with(host=address), headers=headers, content=asked.body,
            extensions={"sni_hostname": url.host},
        )  # fmt: skip
        response = await client.send(made, stream=True)
        try:
            body = await _bounded(response, limits.max_bytes, url)
        finally:
            await response.aclose()
    except (httpx2.HTTPError, ValueError, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise Unanswered(
            f"{asked.method} {_shown(str(url))}: {reason}", hint="look whether the server works"
        ) from error
    return _told(response, body, str(url))


async def _resolved(url: "httpx2.URL", allowed: Allowed) -> str:
    """An address of the host; every one that it has must be allowed. Raises HostRefused, HttpFailed."""
    import ipaddress

    literal = address_of(url.host)
    if literal is not None:
        found = [literal]
    else:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise HttpFailed(
                f"{url.host} is not known: {error.strerror or error}",
                hint="check the address, and the network",
            ) from error
        found = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
    for address in found:
        allowed.check_address(url.scheme, url.host, url.port, address)
    return str(found[0])


async def _bounded(response: "httpx2.Response", most: int, url: "httpx2.URL") -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > most:
            raise OutputTooLarge(
                f"the answer of {_shown(str(url))} has more than {most:,} bytes", hint="raise max_bytes"
            )
        pieces.append(piece)
    return b"".join(pieces)


def _told(response: "httpx2.Response", body: bytes, url: str) -> Answer:
    content_type = response.headers.get("content-type", "").lower()
    kind = content_type.partition(";")[0].strip()
    textual = not body or kind.startswith(_TEXTUAL) or kind.endswith(("+json", "+xml"))
    text: str | None = None
    if textual:
        try:
            text = body.decode(response.charset_encoding or "utf-8", "replace")
        except LookupError:
            text = body.decode("utf-8", "replace")
    parsed: Value = None
    if body and (kind == "application/json" or kind.endswith("+json")):
        from symphony.kit.documents import parse

        try:
            parsed = parse(text or "")
        except InputRefused as error:
            raise HttpFailed(
                f"{_shown(url)} says that it answers in JSON, but: {error.message}", hint="see its text"
            ) from error
    return Answer(
        status=response.status_code, url=url, headers=dict(response.headers.items()), text=text,
        data=None if textual else body, json=parsed,
    )  # fmt: skip


def _shown(url: str) -> str:
    """An address without its query, which may hold a secret."""
    return url.partition("?")[0][:200]
