"""An S3 service on loopback, in this process, which can be slow, busy, dead, or die in the middle."""

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.authorization import enable_iam_authentication
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from symphony.commons.secrets import Secret
from symphony.commons.settings import ObjectStorageConfig
from symphony.pit.artifacts.adapters.buckets import BucketStorage

BUCKET = "artifacts"

Fault = Callable[[WSGIEnvironment], str | None]
"""Says what befalls a request, or None.

`busy`: 503. `drop`: the connection breaks halfway. `lose`: it is carried out, the answer is lost. `slow`: no
answer until `hurry` is set. `die`: the service ends halfway. Other text is the body of an error.
"""


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def log(self, type: str, message: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()


class S3Service:
    """The service, with one bucket. Its state outlives `die` and `start`, as a disk would.

    `requests`: what was asked, as `PUT /artifacts/name`. `faults`: for each further request, in order.
    """

    def __init__(self) -> None:
        self._app: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._open = set[socket.socket]()
        self.port = 0
        self.requests: list[str] = []
        self.faults = deque[str | None]()
        self.fault: Fault = lambda environ: None
        self.hurry, self.died = threading.Event(), threading.Event()
        self._one_at_a_time = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A client that makes buckets and looks at them, not through the code that is tested."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id="key", aws_secret_access_key="secret",
        )  # fmt: skip

    def config(self, **changes: object) -> ObjectStorageConfig:
        settings: dict[str, Any] = {
            "endpoint": self.endpoint, "region": "us-east-1", "access_key_id": Secret("key"),
            "secret_access_key": Secret("secret"), "timeout": 10.0, "patience": 10.0,
        } | changes  # fmt: skip
        return ObjectStorageConfig(**settings)

    def storage(
        self, prefix: str = "some/prefix", *, bucket: str = BUCKET, **changes: object
    ) -> BucketStorage:
        return BucketStorage(bucket, prefix, self.config(**changes), {})

    def start(self) -> None:
        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=_Quiet
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded server
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def die(self) -> None:
        """End at once, breaking every connection."""
        server, thread, self._server = self._server, self._thread, None
        if server is not None and thread is not None:
            server.socket.close()
            threading.Thread(target=server.shutdown, daemon=True).start()
            thread.join()
        for connection in list(self._open):
            _break(connection)
        self.died.set()

    def user(self) -> tuple[str, str]:
        """The key of a user who may do everything with S3, and its secret."""
        name = f"user-{os.urandom(4).hex()}"
        iam = boto3.client(
            "iam", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id="key", aws_secret_access_key="secret",
        )  # fmt: skip
        iam.create_user(UserName=name)
        rule = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
        )
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=rule)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def authenticating(self) -> AbstractContextManager[None]:
        """Let nobody in meanwhile whose signature is wrong."""
        return enable_iam_authentication()

    def keys_at_rest(self) -> list[str]:
        """The names in the bucket of a service that is dead."""
        return sorted(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(BUCKET).keys)

    def uploads(self) -> list[str]:
        """The uploads in parts that are under way or were left behind."""
        found = self.client().list_multipart_uploads(Bucket=BUCKET)
        return [one["Key"] for one in found.get("Uploads", ())]

    def keys(self) -> list[str]:
        found = self.client().list_objects_v2(Bucket=BUCKET)
        return [one["Key"] for one in found.get("Contents", ())]

    def empty(self) -> None:
        for key in self.keys():
            self.client().delete_object(Bucket=BUCKET, Key=key)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        connection: socket.socket = environ["werkzeug.socket"]
        self._open.add(connection)
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        if "Boto3" in environ.get("HTTP_USER_AGENT", ""):
            return self._app(environ, start_response)
        self.requests.append(asked)
        fault = self.faults.popleft() if self.faults else self.fault(environ)
        if fault == "slow":
            self.hurry.wait(60)
            _break(connection)
            return []
        if fault not in (None, "busy", "drop", "die", "lose"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("418 Teapot", [("Content-Type", "application/xml")])
            return [fault.encode("latin-1")]
        if fault == "busy":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [
                b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            ]
        if fault in ("drop", "die"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            if fault == "die":
                self.die()
            _break(connection)
            return []
        if "HTTP_IF_NONE_MATCH" in environ:
            with self._one_at_a_time:  # S3 looks and writes in one step, moto in two
                answer: Iterable[bytes] = [b"".join(self._app(environ, start_response))]
        else:
            answer = self._app(environ, start_response)
        if fault == "lose":
            b"".join(answer)
            _break(connection)
            return []
        return answer


def _break(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving() -> Iterator[S3Service]:
    """A service with its bucket, of which nothing is left afterwards."""
    made = S3Service()
    made.start()
    made.client().create_bucket(Bucket=BUCKET)
    try:
        yield made
    finally:
        made.hurry.set()
        made.die()
        for account in s3_backends.values():
            for backend in account.values():
                backend.reset()
