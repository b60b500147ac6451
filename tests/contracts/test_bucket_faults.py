"""A bucket whose service is busy, slow, broken, dead or not ours: nothing half visible, and a clear error."""

import io
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from tests.support.buckets import BUCKET, S3Service, serving

from symphony.commons.secrets import Secret
from symphony.pit.artifacts.adapters.buckets import PART_BYTES, BucketStorage
from symphony.ports.object_storage import ObjectMissing, StorageRefused, StorageUnreachable

SMALL, LARGE = b"small" * 1000, bytes(range(256)) * (PART_BYTES // 256 * 5 // 2)


@pytest.fixture
def service() -> Iterator[S3Service]:
    with serving() as made:
        yield made


def is_part(environ: dict[str, object], number: int) -> bool:
    return f"partNumber={number}&" in str(environ["QUERY_STRING"])


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["busy", "drop", "lose"])
def test_a_put_goes_through_whatever_befalls_each_of_its_requests_once(
    service: S3Service, body: bytes, fault: str
) -> None:
    storage, seen = service.storage(), set[str]()

    def first(environ: dict[str, object]) -> str | None:
        upload = str(environ["QUERY_STRING"]).partition("&uploadId")[0]
        request = f"{environ['REQUEST_METHOD']} {str(environ['PATH_INFO'])[:25]} {upload}"
        if request in seen:
            return None
        seen.add(request)
        return fault

    service.fault = first
    storage.put("a", io.BytesIO(body))
    service.fault = lambda environ: None
    assert storage.read("a", 0, len(body) + 1) == body
    assert [one.name for one in storage.list()] == ["a"]
    assert len(seen) >= (1 if body is SMALL else 8), seen


def test_reads_are_tried_again(service: S3Service) -> None:
    storage = service.storage()
    storage.put("a", io.BytesIO(SMALL))
    for fault in ("busy", "drop", "lose"):
        service.faults.extend([fault] * 3)
        assert storage.read("a", 5, 5) == b"small"
        service.faults.append(fault)
        assert storage.size("a") == len(SMALL)
        service.faults.append(fault)
        assert list(storage.list()) == [("a", len(SMALL))]
        service.faults.append(fault)
        storage.check()
    service.faults.append("lose")
    storage.delete("a")
    assert storage.size("a") is None


def test_a_service_that_stays_busy_is_named_with_what_it_says(service: S3Service) -> None:
    service.fault = lambda environ: "busy"
    storage = service.storage(patience=0.3)
    for call in (lambda: storage.put("a", io.BytesIO(SMALL)), lambda: storage.read("a", 0, 1), storage.check):
        with pytest.raises(StorageUnreachable) as caught:
            call()
        said = f"{service.endpoint} answers 503 SlowDown: Please reduce your request rate."
        assert caught.value.message.endswith(said)
        assert "in s3://artifacts/some/prefix" in caught.value.message
        assert caught.value.hint == "the service is busy: try again later"


def test_a_service_that_is_slow_is_not_waited_for_for_ever(service: S3Service) -> None:
    service.fault = lambda environ: "slow"
    storage = service.storage(timeout=0.2, patience=0.1)
    with pytest.raises(StorageUnreachable, match="does not answer: it takes too long"):
        storage.put("a", io.BytesIO(SMALL))
    with pytest.raises(StorageUnreachable, match="does not answer: it takes too long"):
        storage.read("a", 0, 1)


def test_a_service_that_dies_in_the_middle_and_comes_back_has_all_of_it(service: S3Service) -> None:
    storage = service.storage(patience=30.0)

    def deadly(environ: dict[str, object]) -> str | None:
        return "die" if is_part(environ, 2) and not service.died.is_set() else None

    def revive() -> None:
        service.died.wait()
        assert service.keys_at_rest() == []
        service.start()

    service.fault = deadly
    reviving = threading.Thread(target=revive)
    reviving.start()
    storage.put("a", io.BytesIO(LARGE))
    reviving.join()
    assert storage.read("a", 0, len(LARGE)) == LARGE
    assert service.keys() == ["some/prefix/a"]


def test_a_service_that_stays_dead_leaves_nothing_half_visible(service: S3Service) -> None:
    storage = service.storage(patience=0.3)
    service.fault = lambda environ: "die" if is_part(environ, 2) else None
    with pytest.raises(StorageUnreachable) as caught:
        storage.put("a", io.BytesIO(LARGE))
    assert caught.value.message == (
        f"cannot store a in s3://artifacts/some/prefix: {service.endpoint} does not answer: "
        "the connection is refused"
    )
    assert caught.value.hint == "check the network and object_storage.endpoint, then try again"
    service.fault = lambda environ: None
    service.start()
    assert service.keys() == []
    assert storage.size("a") is None
    with pytest.raises(ObjectMissing):
        storage.read("a", 0, 1)
    storage.put("a", io.BytesIO(LARGE))
    assert storage.read("a", 0, len(LARGE)) == LARGE


def calls(storage: BucketStorage) -> list[object]:
    return [
        lambda: storage.put("a", io.BytesIO(SMALL)),
        lambda: storage.put("a", io.BytesIO(LARGE)),
        lambda: storage.read("a", 0, 1),
        lambda: storage.size("a"),
        lambda: list(storage.list()),
        lambda: storage.delete("a"),
        storage.check,
    ]


def test_a_bucket_that_is_not_there_is_named(service: S3Service) -> None:
    for call in calls(service.storage(bucket="absent")):
        with pytest.raises(StorageRefused) as caught:
            call()  # type: ignore[operator]
        assert "in s3://absent/some/prefix" in caught.value.message
        assert "404 NoSuchBucket: The specified bucket does not exist" in caught.value.message
        assert caught.value.hint == "make the bucket absent, or correct the address"


@pytest.mark.parametrize("wrong", ["access_key_id", "secret_access_key"])
def test_wrong_keys_are_refused_at_once_and_never_shown(
    service: S3Service, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="symphony")
    user, secret = service.user()
    with service.authenticating():
        right = {"access_key_id": Secret(user), "secret_access_key": Secret(secret)}
        service.storage(**right).put("a", io.BytesIO(SMALL))
        storage = service.storage(**right | {wrong: Secret("hunter2hunter2hunter2")})
        for call in calls(storage):
            with pytest.raises(StorageRefused) as caught:
                call()  # type: ignore[operator]
            assert caught.value.hint is not None
            assert caught.value.__cause__ is None
            for shown in (repr(caught.value), str(vars(storage)), ours(caplog)):
                assert "hunter2" not in shown
                assert secret not in shown
        with pytest.raises(StorageRefused, match=r"403 [A-Za-z]+: ") as caught:
            storage.put("b", io.BytesIO(SMALL))
        assert "AWS_ACCESS_KEY_ID" in (caught.value.hint or "")


def ours(caplog: pytest.LogCaptureFixture) -> str:
    """What we have logged; the service is in this process, too."""
    return "".join(
        f"{one.getMessage()} {one.exc_text}" for one in caplog.records if one.name.startswith("symphony")
    )


def test_without_any_keys_the_error_says_where_to_give_them(
    service: S3Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")  # no machine answers there
    storage = service.storage(access_key_id=None, secret_access_key=None, patience=0.1)
    with pytest.raises(StorageRefused, match="there are no credentials") as caught:
        storage.check()
    assert "AWS_SECRET_ACCESS_KEY" in (caught.value.hint or "")


def test_keys_and_the_endpoint_may_come_from_the_standard_variables(
    service: S3Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, secret = service.user()
    environment = {"AWS_ENDPOINT_URL": service.endpoint, "AWS_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": secret}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = service.config(endpoint=None, region=None, access_key_id=None, secret_access_key=None)
    with service.authenticating():
        storage = BucketStorage(BUCKET, "", config, environment)
        storage.put("a", io.BytesIO(LARGE))
        assert storage.read("a", 0, len(LARGE)) == LARGE
        assert storage.address == "s3://artifacts"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 1000,
        b"<Error><Code>" + b"x" * 100_000,
        b"<Error><Code>Bad\x1b[31m</Code><Message>\x1b]0;title\x07" + b"long " * 10_000 + b"</Message>",
    ],
    ids=["nothing", "bytes", "long", "escapes"],
)
def test_what_a_hostile_service_says_is_shortened_and_harmless(service: S3Service, answer: bytes) -> None:
    service.fault = lambda environ: answer.decode("latin-1")
    with pytest.raises(StorageRefused if answer.isascii() else StorageUnreachable) as caught:
        service.storage(patience=0.2).put("a", io.BytesIO(SMALL))
    assert "answers 418" in caught.value.message or "what it says is no text" in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


def test_uploads_that_a_killed_process_left_go_after_a_day(service: S3Service) -> None:
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for name in ("old", "young"):
        service.client().put_object(Bucket=BUCKET, Key=f"some/prefix/.uploads/{name}", Body=b"x")
    key = backend.get_bucket(BUCKET).keys["some/prefix/.uploads/old"]
    key.last_modified -= timedelta(days=2)
    storage = service.storage()
    assert list(storage.list()) == []
    storage.put("a", io.BytesIO(LARGE))
    assert service.keys() == ["some/prefix/.uploads/young", "some/prefix/a"]


def test_names_that_others_gave_are_left_out(service: S3Service) -> None:
    for name in ("some/prefix/with space", "some/prefix/ok", "some/prefixes/other", "elsewhere"):
        service.client().put_object(Bucket=BUCKET, Key=name, Body=b"x")
    assert list(service.storage().list()) == [("ok", 1)]


def test_more_names_than_fit_on_a_page_are_listed(service: S3Service) -> None:
    for number in range(1100):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, f"some/prefix/{number:04}", b"")
    assert [int(one.name) for one in service.storage().list()] == list(range(1100))
