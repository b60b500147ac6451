"""The index's schema and tokenizer, and documents for it: how artifacts are stored in Tantivy."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.pit.artifacts.search.changes import LogPlace
from symphony.pit.artifacts.search.core.fields import FIELDS
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from tantivy import Document, Index, Schema, TextAnalyzer

    from symphony.pit.artifacts.search.core.entry import Entry

WORDS: Final = "words"
HAS: Final = "has"
"""Holds the names of the fields that an artifact has, and `artifact`."""
ARTIFACT: Final = "artifact"
MARK: Final = "mark"
PRINT: Final = "print"
KEY: Final = "key"
TOLD: Final = "told"
WORD_BYTES_MAX: Final = 128
"""Longer words, such as base64, are not found."""
VERSION: Final = 2
"""Of what is in the documents: an index of another version is built again."""


class IndexMark(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which place of the store's log an index has read.

    `made_by`: what else documents depend on. `scanning`: artifacts that were put before may be missing.
    """

    place: LogPlace = LogPlace()
    made_by: str = ""
    scanning: bool = False


_encode = msgspec.msgpack.Encoder().encode
_mark = msgspec.msgpack.Decoder(IndexMark)


@cache
def schema() -> "Schema":
    """Return the schema; see `core.fields` for what queries may name."""
    from tantivy import SchemaBuilder

    made = SchemaBuilder()
    for name, kind in FIELDS.items():
        if kind == "text":
            made.add_text_field(name, tokenizer_name=WORDS)
        elif kind == "label":
            made.add_text_field(name, stored=name == "digest", tokenizer_name="raw", index_option="basic")
        else:
            made.add_float_field(name, fast=True, indexed=True)
    made.add_text_field(HAS, tokenizer_name="raw", index_option="basic")
    made.add_bytes_field(MARK, stored=True)
    made.add_bytes_field(TOLD, stored=True)
    made.add_unsigned_field(PRINT, fast=True)
    made.add_unsigned_field(KEY, indexed=True, fast=True)
    return made.build()


@cache
def analyzer() -> "TextAnalyzer":
    """Return what makes words of a prepared text: runs of letters and digits, without case and accents."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    made = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(WORD_BYTES_MAX + 1))
    return made.filter(Filter.lowercase()).filter(Filter.ascii_fold()).build()


def opened(folder: Path | None) -> "Index":
    """Return the index in `folder`, made if there is none; None: in memory."""
    from tantivy import Index

    made = Index(schema()) if folder is None else Index(schema(), path=str(folder))
    made.register_tokenizer(WORDS, analyzer())
    made.config_reader("manual")  # otherwise a thread of each looks at the files twice a second
    return made


def document(entry: "Entry") -> "Document":
    """Return an artifact as a document."""
    from tantivy import Document

    fields: dict[str, object] = {
        **{name: list(values) for name, values in entry.texts.items() if values},
        **{name: list(values) for name, values in entry.labels.items() if values},
        **{name: value for name, value in entry.numbers.items() if value is not None},
    }
    fields[HAS] = [ARTIFACT, *fields]
    fields |= {PRINT: entry.print, KEY: key_of(entry.digest), TOLD: entry.told}
    return Document.from_dict(fields, schema())


def mark_document(mark: IndexMark) -> "Document":
    """Return the document that says up to where the index has read. There is one."""
    from tantivy import Document

    return Document.from_dict({HAS: MARK, MARK: _encode(mark)}, schema())


def mark_of(body: bytes) -> IndexMark:
    """Read what `mark_document` wrote. Raises ValueError."""
    return _mark.decode(body)


def key_of(digest: Digest) -> int:
    """Return a number that stands for a digest where texts would take too much memory."""
    return int(digest[:16], 16)
