"""Addresses of object storage: what they say, and what is wrong with them."""

import pytest

from symphony.commons.errors import ValidationFailed
from symphony.pit.artifacts.places.addresses import StorageAddress, parse_address


@pytest.mark.parametrize(
    ("text", "said", "shown"),
    [
        ("/archive", StorageAddress(path="/archive"), "/archive"),
        ("/archive/", StorageAddress(path="/archive"), "/archive"),
        ("/a b/ä", StorageAddress(path="/a b/ä"), "/a b/ä"),
        ("s3://bucket", StorageAddress(scheme="s3", bucket="bucket"), "s3://bucket"),
        ("s3://bucket/", StorageAddress(scheme="s3", bucket="bucket"), "s3://bucket"),
        ("s3://my.bucket-1/a/b/", StorageAddress("", "s3", "my.bucket-1", "a/b"), "s3://my.bucket-1/a/b"),
    ],
)
def test_an_address_is_a_path_or_a_bucket_with_a_prefix(text: str, said: StorageAddress, shown: str) -> None:
    assert parse_address(text) == said
    assert str(said) == shown
    assert parse_address(shown) == said


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "give an absolute path or s3://BUCKET/PREFIX"),
        ("archive", "give an absolute path or s3://BUCKET/PREFIX"),
        ("./archive", "give an absolute path or s3://BUCKET/PREFIX"),
        ("s3//bucket/a", "did you mean s3://BUCKET/PREFIX?"),
        ("s3:/bucket/a", "write s3://bucket/a"),
        ("s3:bucket/a", "write s3://bucket/a"),
        ("s3:///bucket/a", "write s3://bucket/a"),
        ("S3://bucket/a", "did you mean s3://bucket/a?"),
        ("s4://bucket/a", "did you mean s3://bucket/a?"),
        ("s3a://bucket/a", "did you mean s3://bucket/a?"),
        ("https://bucket/a", "give an absolute path or s3://BUCKET/PREFIX"),
        ("s3://", "3 to 63 lower-case letters, digits, dots and hyphens"),
        ("s3://ab", "3 to 63 lower-case letters, digits, dots and hyphens"),
        ("s3://My_Bucket", "3 to 63 lower-case letters, digits, dots and hyphens"),
        ("s3://bucket/a//b", "at most 200 letters, digits, '.', '_' and '-', with single slashes between"),
        ("s3://bucket/../b", "at most 200 letters, digits, '.', '_' and '-', with single slashes between"),
        (
            "s3://bucket/" + "x" * 201,
            "at most 200 letters, digits, '.', '_' and '-', with single slashes between",
        ),
    ],
)
def test_a_typo_is_named_and_mended(text: str, hint: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_address(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["s3://key:hunter2@bucket/a", "s3://bucket/a?secret=hunter2"])
def test_a_key_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_address(text)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.hint is not None
    assert "[object_storage]" in caught.value.hint
