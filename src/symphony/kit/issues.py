"""Issues exported from a tracker: `issues.read`. And tables compared: `table.compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

from symphony.kit.data_files import read as read_data
from symphony.kit.errors import InputRefused
from symphony.ports.values import Value
from symphony.sdk import Context, operator
from symphony.sdk.plain import to_value

ISSUES_MAX: Final = 50_000
TEXT_CHARS: Final = 1_200
"""The most characters of an issue that are embedded: a model would cut off the rest."""
_IDS: Final = ("number", "id", "key", "iid", "issue", "Issue key", "ID", "Number")
_TITLES: Final = ("title", "summary", "subject", "name", "Summary", "Title")
_BODIES: Final = ("body", "description", "text", "content", "Description", "Body")


class Issue(TypedDict):
    """One issue."""

    id: str
    title: str
    body: str
    state: str
    url: str


class Issues(TypedDict):
    """What `issues.read` returns."""

    issues: list[Issue]
    texts: list[str]
    skipped: int


@operator("issues.read", version="1.0.0", pure=True)
def read(
    path: Path,
    context: Context,
    id_field: str | None = None,
    title_field: str | None = None,
    body_field: str | None = None,
) -> Issues:
    """Read issues from a CSV, JSON, JSON Lines or YAML file, as trackers export them.

    JSON may be a list, or a map that holds one list. Issues with neither title nor text are left out.

    path: the file
    id_field: which field tells them apart; null looks for number, id, key and the like, and counts where
        there is none
    title_field: which field is the title; null looks for title, summary, subject and the like
    body_field: which field is the text; null looks for body, description and the like

    Returns:
        issues: maps of id, title, body, state and url
        texts: title and beginning of the body of each, for embedding
        skipped: how many were left out
    """
    records = _records(to_value(read_data(path, context)), path)
    if len(records) > ISSUES_MAX:
        raise InputRefused(f"{path} has more than {ISSUES_MAX:,} issues", hint="split the file")
    keys = list(dict.fromkeys(key for record in records for key in record))
    title = _field("title_field", title_field, _TITLES, keys)
    body = _field("body_field", body_field, _BODIES, keys)
    number = _field("id_field", id_field, _IDS, keys)
    if records and title is None and body is None:
        raise InputRefused(
            f"{path}: no field looks like a title or a text: {', '.join(keys[:20])}",
            hint="name one with title_field",
        )
    found = [
        Issue(
            id=_text(record, number) or str(at),
            title=_text(record, title),
            body=_text(record, body),
            state=_text(record, "state"),
            url=_text(record, "url"),
        )
        for at, record in enumerate(records, start=1)
    ]
    kept = [issue for issue in found if issue["title"].strip() or issue["body"].strip()]
    texts = [f"{issue['title']}\n{issue['body']}".strip()[:TEXT_CHARS] for issue in kept]
    return Issues(issues=kept, texts=texts, skipped=len(found) - len(kept))


def _records(data: Value, path: Path) -> list[dict[str, Value]]:
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else data
    if not isinstance(data, list):
        raise InputRefused(f"{path} holds no list of issues", hint="export them as a list, or as CSV")
    records: list[dict[str, Value]] = []
    for at, record in enumerate(data):
        if not isinstance(record, dict):
            raise InputRefused(f"{path}: element {at} is no map", hint="each issue must be a map of fields")
        records.append(record)
    return records


def _field(name: str, wanted: str | None, usual: Sequence[str], keys: Sequence[str]) -> str | None:
    if wanted is None:
        return next((key for key in usual if key in keys), None)
    if keys and wanted not in keys:
        raise InputRefused(
            f"input {name}: there is no field {wanted!r}", hint=f"it has {', '.join(keys[:20])}"
        )
    return wanted


def _text(record: dict[str, Value], field: str | None) -> str:
    value = record.get(field) if field is not None else None
    return "" if value is None else value if isinstance(value, str) else str(value)
