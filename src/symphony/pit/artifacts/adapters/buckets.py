"""A bucket as object storage, through obstore, with the extra `objects`.

What is large is uploaded in parts under a name of its own in `.uploads/`, and gets its real name in one
conditional step: nothing is half visible, and of those that store one name at once one wins. Whatever the
service says in its errors is repeated only as its code and a short text.
"""

import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from symphony.commons.backoff import backoff_s
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import ObjectStorageConfig
from symphony.ports.object_storage import (
    StorageRefused,
    StorageUnreachable,
    StoredObject,
    absent_object,
    check_object_name,
    object_exists,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")

logger = logging.getLogger(__name__)

PART_BYTES: Final = 8 << 20
"""What is larger is uploaded in parts of this size."""
_PARTS_AT_ONCE: Final = 4
_READ_BYTES: Final = 8 << 20
_UPLOADS: Final = ".uploads"
_LEFT_OVER: Final = timedelta(days=1)
_CONNECT: Final = timedelta(seconds=5)
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0
_CLIENT_TRIES: Final = 3
_CLIENT_PATIENCE: Final = timedelta(seconds=5)
_SAID_CHARS: Final = 200
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_SAID: Final = re.compile(r"<Message>([^<]{1,2000})</Message>")
_TEMPORARY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_KEYS: Final = (
    "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key_id and secret_access_key in "
    "[object_storage]"
)


class BucketStorage:
    """`symphony.ports.object_storage.ObjectStorage` in the bucket `bucket`, below `prefix`.

    The client is made at the first call: credentials are those of the settings, or of the standard `AWS_`
    variables in `environment`, or of the role of this machine. A call that fails for a moment is tried again
    for as long as the settings say.
    """

    def __init__(
        self, bucket: str, prefix: str, config: ObjectStorageConfig, environment: Mapping[str, str]
    ) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._config, self._environment = config, environment
        self._cleared = False

    @property
    def address(self) -> str:
        """`s3://BUCKET/PREFIX`."""
        return f"s3://{self._bucket}{'/' * bool(self._prefix)}{self._prefix}"

    def put(self, name: str, stream: BinaryIO) -> None:
        """Store all of `stream`; see the protocol."""
        check_object_name(name)
        self._tried(lambda: self._put(name, stream))

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; see the protocol."""
        check_object_name(name)
        return self._tried(lambda: self._read(name, start, length))

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None if it is absent."""
        check_object_name(name)
        return self._tried(lambda: self._size(name))

    def list(self, folder: str = "") -> Iterator[StoredObject]:
        """Yield every file below a folder, in the order of names."""
        import obstore

        if folder:
            check_object_name(folder)
        pages = iter(self._asked("list", lambda: obstore.list(self._store, folder or None)))
        while (page := self._tried(lambda: self._asked("list", lambda: next(pages, None)))) is not None:
            for found in page:
                with suppress(SymphonyError):  # somebody else's file
                    yield StoredObject(check_object_name(found["path"]), found["size"])

    def delete(self, name: str) -> None:
        """Delete a file. It is no error if it is absent."""
        check_object_name(name)
        self._tried(lambda: self._delete(name))

    def check(self) -> None:
        """Raise what is wrong, as far as listing one name tells."""
        self._tried(self._check)

    # -- within

    @cached_property
    def _store(self) -> "S3Store":
        from obstore.store import S3Store

        config = self._config
        given = {
            "endpoint": config.endpoint,
            "region": config.region,
            "access_key_id": config.access_key_id and config.access_key_id.reveal(),
            "secret_access_key": config.secret_access_key and config.secret_access_key.reveal(),
        }
        endpoint = config.endpoint or next(filter(None, map(self._environment.get, _ENDPOINTS)), "")
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            copy_if_not_exists="multipart",
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": min(_CONNECT, timedelta(seconds=config.timeout)),
                "timeout": timedelta(seconds=config.timeout),
            },
            retry_config={
                # For one part of several. All others are tried again by us, since the client does not know
                # whether a put whose connection broke was carried out.
                "max_retries": _CLIENT_TRIES,
                "retry_timeout": min(timedelta(seconds=config.patience), _CLIENT_PATIENCE),
            },
            **{key: value for key, value in given.items() if value is not None},  # type: ignore[arg-type]
        )

    def _tried(self, call: Callable[[], T]) -> T:
        """What `call` gives, tried again while the service cannot."""
        until, attempt = time.monotonic() + self._config.patience, 0
        while True:
            attempt += 1
            try:
                return call()
            except StorageUnreachable as error:
                jitter = _chance.uniform(0.5, 1)
                wait_s = backoff_s(attempt, base_s=_FIRST_WAIT_S, cap_s=_LONGEST_WAIT_S, jitter=jitter)
                if time.monotonic() + wait_s > until:
                    raise
                logger.debug("tried again after %.1f s: %s", wait_s, error)
            time.sleep(wait_s)

    def _put(self, name: str, stream: BinaryIO) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        size, doing = stream.seek(0, os.SEEK_END), f"store {name}"
        stream.seek(0)
        try:
            if size <= PART_BYTES:
                body = stream.read()
                self._asked(
                    doing, lambda: obstore.put(self._store, name, body, mode="create", use_multipart=False)
                )
                return
            if self._size(name) is None:
                self._put_in_parts(name, stream, doing)
                return
        except AlreadyExistsError:
            pass
        except FileNotFoundError:
            self._check()
            raise StorageUnreachable(f"cannot {doing} in {self.address}", hint="try again") from None
        if not self._same(name, stream, size):  # else a try whose answer was lost was carried out
            raise object_exists(self.address, name)

    def _put_in_parts(self, name: str, stream: BinaryIO, doing: str) -> None:
        import obstore

        upload = f"{_UPLOADS}/{os.urandom(8).hex()}"
        self._asked(
            doing,
            lambda: obstore.put(
                self._store, upload, stream,
                use_multipart=True, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE,
            ),
        )  # fmt: skip
        try:
            self._asked(doing, lambda: obstore.copy(self._store, upload, name, overwrite=False))
            self._clear_uploads(upload)
        finally:
            with suppress(SymphonyError, FileNotFoundError):
                self._asked(doing, lambda: obstore.delete(self._store, upload))

    def _clear_uploads(self, mine: str) -> None:
        """Delete uploads that killed processes left behind, by the clock of the service, once."""
        import obstore

        if self._cleared:
            return
        self._cleared = True
        with suppress(SymphonyError, FileNotFoundError):
            found = self._asked("list", lambda: obstore.list(self._store, _UPLOADS).collect())
            now = next((one["last_modified"] for one in found if one["path"] == mine), None)
            for one in found:
                if now is not None and now - one["last_modified"] > _LEFT_OVER:
                    path = one["path"]
                    self._asked("clear", lambda path=path: obstore.delete(self._store, path))  # type: ignore[misc]

    def _read(self, name: str, start: int, length: int) -> bytes:
        import obstore
        from obstore.exceptions import GenericError

        def part() -> bytes:
            try:
                return bytes(obstore.get_range(self._store, name, start=start, length=length))
            except GenericError as error:
                if _status_of(error) == 416:  # the file has no such bytes
                    return b""
                raise

        with suppress(FileNotFoundError):
            if length and (found := self._asked(f"read {name}", part)):
                return found
        if self._size(name) is None:
            raise absent_object(self.address, name)
        return b""

    def _size(self, name: str) -> int | None:
        import obstore

        try:
            return self._asked(f"look at {name}", lambda: obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            self._check()  # an answer to HEAD does not say whether the bucket is there
            return None

    def _delete(self, name: str) -> None:
        import obstore

        try:
            self._asked(f"delete {name}", lambda: obstore.delete(self._store, name))
        except FileNotFoundError:
            self._check()

    def _check(self) -> None:
        import obstore

        self._asked("list", lambda: next(iter(obstore.list(self._store, "check", chunk_size=1)), None))

    def _same(self, name: str, stream: BinaryIO, size: int) -> bool:
        if self._size(name) != size:
            return False
        stream.seek(0)
        return all(
            self._read(name, at, _READ_BYTES) == stream.read(_READ_BYTES)
            for at in range(0, size, _READ_BYTES)
        )

    def _asked(self, doing: str, call: Callable[[], T]) -> T:
        """What `call` gives, its errors as ours. Raises FileNotFoundError, AlreadyExistsError."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            return call()
        except (FileNotFoundError, AlreadyExistsError):
            raise
        except BaseError as error:
            said = str(error)
        raise self._failure(doing, said)  # out here: a traceback would show all that the client says

    def _failure(self, doing: str, said: str) -> SymphonyError:
        """The error for what the client says, which is long and may show who asked."""
        status, code = _status_of(said), _CODE.search(said)
        message = _SAID.search(said)
        why = f"answers {status or ''} {code[1] if code else ''}".rstrip()
        if message is not None:
            why += f": {_plain(message[1])}"
        details = {"address": self.address, "status": status, "code": code[1] if code else None}
        doing = f"cannot {doing} in {self.address}"
        if "/latest/" in said or "MissingSecretAccessKey" in said or "MissingAccessKeyId" in said:
            return StorageRefused(f"{doing}: there are no credentials", details=details, hint=_KEYS)
        if status is None and "Connect" not in said and "HTTP error" not in said:
            first = said.partition("\n")[0]
            return StorageRefused(f"{doing}: {_plain(first)}", details=details)
        if status is None:
            return StorageUnreachable(
                f"{doing}: {self._where} does not answer: {_broken(said)}",
                details=details,
                hint="check the network and object_storage.endpoint, then try again",
            )
        if status in _TEMPORARY:
            return StorageUnreachable(
                f"{doing}: {self._where} {why}", details=details, hint="the service is busy: try again later"
            )
        hint = _hint(status, code and code[1], self._bucket)
        return StorageRefused(f"{doing}: {self._where} {why}", details=details, hint=hint)

    @property
    def _where(self) -> str:
        return self._config.endpoint or next(
            filter(None, map(self._environment.get, _ENDPOINTS)), "the service"
        )


_chance = random.SystemRandom()


def _status_of(error: object) -> int | None:
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def _hint(status: int, code: str | None, bucket: str) -> str:
    if code == "NoSuchBucket" or status == 404:
        return f"make the bucket {bucket}, or correct the address"
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        return "set the clock of this machine"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken") or status == 401:
        return f"the key is not the right one: {_KEYS}"
    if status == 403:
        return f"allow this key to list, get, put and delete objects in {bucket}"
    if status in (301, 307) or code in ("AuthorizationHeaderMalformed", "PermanentRedirect"):
        return "set object_storage.region to the bucket's region"
    return "check object_storage.endpoint and region, and that the service knows conditional writes"


def _broken(said: str) -> str:
    """Return in a few words how a connection failed."""
    for sign, words in (
        ("dns error", "its name is not known"),
        ("timed out", "it takes too long"),
        ("Timeout", "it takes too long"),
        ("Connection refused", "the connection is refused"),
        ("kind: Connect", "there is no connection"),
        ("Utf8", "what it says is no text"),
    ):
        if sign in said:
            return words
    return "the connection broke"


def _plain(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _SAID_CHARS else f"{shown[: _SAID_CHARS - 1]}…"
