"""Content types: what they tell about the bytes of an artifact. Pure."""

import codecs
import re
from typing import Final, Literal, NamedTuple, TypeAlias

Form: TypeAlias = Literal["json", "lines", "msgpack", "text", "table", "markup", "any", "binary", "unknown"]
"""What bytes of a type are: a JSON document, one of them a line, MessagePack, text that can hold anything,
text that has a grammar of its own (tables, markup), anything at all, never text, or nobody knows."""

TEXT_TYPE: Final = "text/plain; charset=utf-8"
BYTES_TYPE: Final = "application/octet-stream"
JSON_TYPE: Final = "application/json"
MSGPACK_TYPE: Final = "application/msgpack"

_FORMS: Final[dict[str, Form]] = {
    JSON_TYPE: "json", "text/json": "json",
    "application/jsonl": "lines", "application/ndjson": "lines", "application/x-ndjson": "lines",
    "application/x-jsonlines": "lines", "application/jsonlines": "lines", "text/x-ndjson": "lines",
    MSGPACK_TYPE: "msgpack", "application/x-msgpack": "msgpack", "application/vnd.msgpack": "msgpack",
    "text/csv": "table", "text/tab-separated-values": "table",
    "text/xml": "markup", "application/xml": "markup", "text/calendar": "table", "text/vcard": "table",
    "application/yaml": "text", "application/x-yaml": "text", "application/javascript": "text",
    "application/toml": "markup", "text/toml": "markup", "application/x-toml": "markup",
    "application/sql": "text", "application/x-sh": "text", "application/graphql": "text",
    BYTES_TYPE: "any", "binary/octet-stream": "any",
    "application/pdf": "binary", "application/zip": "binary", "application/gzip": "binary",
    "application/x-tar": "binary", "application/zstd": "binary", "application/wasm": "binary",
    "application/vnd.apache.parquet": "binary", "application/x-sqlite3": "binary",
}  # fmt: skip
_ENDINGS: Final[dict[str, Form]] = {
    "+json": "json", "+json-seq": "unknown", "+xml": "markup", "+yaml": "text", "+msgpack": "msgpack",
    "+zip": "binary", "+gzip": "binary", "+cbor": "binary",
}  # fmt: skip
_TOPS: Final[dict[str, Form]] = {
    "text": "text", "image": "binary", "audio": "binary", "video": "binary", "font": "binary"
}  # fmt: skip
_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*("[^"]*"|[^\s;"]+)""", re.IGNORECASE)


class Media(NamedTuple):
    """A content type, read: `charset` is Python's name of its charset; None if it has none that is known."""

    form: Form
    charset: str | None


def media(content_type: str) -> Media:
    """Return what bytes of `content_type` are, and their charset. Letter case does not count."""
    kind = content_type.partition(";")[0].strip().lower()
    found = _CHARSET.search(content_type)
    charset = None
    if found is not None:
        try:
            charset = codecs.lookup(found[1].strip('"')).name
        except LookupError:
            charset = None
    return Media(_form(kind), charset)


def in_utf8(content_type: str) -> str:
    """Return `content_type` with UTF-8 as its charset; one without a charset stays as it is."""
    return _CHARSET.sub("; charset=utf-8", content_type)


def _form(kind: str) -> Form:
    if (form := _FORMS.get(kind)) is not None:
        return form
    for ending, told in _ENDINGS.items():
        if kind.endswith(ending):
            return told
    return _TOPS.get(kind.partition("/")[0], "unknown")
