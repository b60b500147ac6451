"""Addresses of object storage: a path, or `s3://BUCKET/PREFIX`. Pure."""

import re
from difflib import get_close_matches
from pathlib import PurePath
from typing import Final, NamedTuple

from symphony.commons.errors import ValidationFailed

SCHEMES: Final = ("s3",)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/*)(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?", re.ASCII)
_PREFIX_CHARS_MAX: Final = 200


class StorageAddress(NamedTuple):
    """Where a place is: an absolute `path`, or a `bucket` and the `prefix` of all names in it."""

    path: str = ""
    scheme: str = ""
    bucket: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.scheme}://{self.bucket}{'/' * bool(self.prefix)}{self.prefix}"


def parse_address(text: str) -> StorageAddress:
    """Return what an address says. Raises ValidationFailed, which names the part that is wrong.

    Source of the rules for buckets: "Bucket naming rules", Amazon S3 User Guide.
    """
    found = _SCHEME.fullmatch(text)
    if found is None or len(found[1]) == 1:
        return StorageAddress(path=_path(text))
    scheme, slashes, rest = found[1], found[2], found[3]
    if scheme not in SCHEMES:
        near = get_close_matches(scheme.lower(), SCHEMES, n=1, cutoff=0.4)
        said = f"did you mean {near[0]}://{rest}?" if near else "give an absolute path or s3://BUCKET/PREFIX"
        raise _wrong(text, f"{scheme}: is not a kind of storage", said)
    bucket, _, prefix = rest.partition("/")
    if slashes != "//":
        raise _wrong(text, "two slashes follow the colon", f"write {scheme}://{rest}")
    if "@" in bucket or "?" in rest:
        # The text may hold a key, so it is not repeated.
        raise ValidationFailed(
            f"an {scheme}:// address holds a bucket and a prefix, and nothing else",
            details={"field": "address"},
            hint="give keys and the endpoint in [object_storage] or as variables, never in the address",
        )
    if not _BUCKET.fullmatch(bucket):
        raise _wrong(
            text, f"{bucket!r:.80} is no bucket", "3 to 63 lower-case letters, digits, dots and hyphens"
        )
    prefix = prefix.strip("/")
    if len(prefix) > _PREFIX_CHARS_MAX or not _PREFIX.fullmatch(prefix):
        raise _wrong(
            text,
            f"{prefix!r:.80} is no prefix",
            f"at most {_PREFIX_CHARS_MAX} letters, digits, '.', '_' and '-', with single slashes between",
        )
    return StorageAddress(scheme=scheme, bucket=bucket, prefix=prefix)


def _path(text: str) -> str:
    if not PurePath(text).is_absolute() or "\0" in text:
        near = get_close_matches(text.lower()[:5], ("s3://",), n=1, cutoff=0.6)
        said = "did you mean s3://BUCKET/PREFIX?" if near else "give an absolute path or s3://BUCKET/PREFIX"
        raise _wrong(text, "it is not an absolute path", said)
    return str(PurePath(text))


def _wrong(text: str, why: str, hint: str) -> ValidationFailed:
    return ValidationFailed(
        f"{text!r:.120} is not the address of a storage: {why}", details={"field": "address"}, hint=hint
    )
