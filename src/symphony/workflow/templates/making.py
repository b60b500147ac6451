"""Makes a workflow's text from a template, and checks it before anybody sees it. Pure."""

import json
from collections.abc import Mapping
from typing import Final

from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.documents import Format
from symphony.workflow.files import checked, read_bytes
from symphony.workflow.problems import ValidationReport
from symphony.workflow.templates.model import WorkflowTemplate
from symphony.workflow.validation import validate
from symphony.workflow.values import spelled

_SHOWN_CHARS: Final = 200
_COMMENTS: Final = ("yaml", "toml")


def made_workflow(
    template: WorkflowTemplate, given: Mapping[str, Value], catalog: Catalog, kind: Format, *, name: str
) -> tuple[bytes, DocumentReading, ValidationReport]:
    """Return the document in format `kind`, what is read of it again, and what validation says of that.

    `given` must have passed `WorkflowTemplate.check`; `name` is what the template is called. A report
    with errors means that the values, each good in itself, do not go together.
    """
    version = template.workflow.version
    body = kind.write(template.make(given, made_from=f"{name}@{version}"))
    reading = read_bytes(body, kind)
    if reading.workflow is None:
        return body, reading, ValidationReport(errors=reading.problems)
    report = checked(reading, validate(reading.workflow, catalog, broken=reading.broken))
    if kind.name in _COMMENTS:
        body = _header(name, version, given).encode() + body
    return body, reading, report


def _header(name: str, version: str, given: Mapping[str, Value]) -> str:
    """Return comments that tell where the file comes from; each value is on one line of ASCII, whatever
    it holds.
    """
    lines = [f"# Made from the template {name} {version}: symphony template show {name}"]
    for parameter, value in given.items():
        text = json.dumps(spelled(value))
        lines.append(
            f"#   {parameter} = {text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + '...'}"
        )
    return "\n".join(lines) + "\n"
