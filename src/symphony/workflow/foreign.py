"""Recognizes files of other tools by their top-level keys, so that one error says what was given."""

from collections.abc import Mapping
from typing import Final

from symphony.workflow.fields import Fields

_KINDS: Final = (
    ("a GitHub Actions workflow", ("on", "jobs")),
    ("a CircleCI configuration", ("version", "jobs")),
    ("a GitLab CI configuration", ("stages",)),
    ("a Docker Compose file", ("services",)),
    ("a Taskfile", ("version", "tasks")),
    ("a Kubernetes manifest", ("apiVersion", "kind")),
    ("an npm package.json", ("version", "scripts")),
    ("an npm package.json", ("version", "dependencies")),
    ("an npm package.json", ("version", "devDependencies")),
    ("an npm package.json", ("private", "scripts")),
    ("a pyproject.toml", ("build-system",)),
    ("a pyproject.toml", ("project", "tool")),
)
"""What a file is, and keys that it then has; the first that fits."""
_OURS: Final = ("nodes", "steps", "symphony")
_HINT: Final = (
    "a workflow of Symphony has a name: and nodes:, each with a command: or an operator:; "
    "docs/how-to/come-from-other-tools.md shows how to move, and `symphony init` begins one"
)


def reported_as_foreign(document: Mapping[str, object], fields: Fields) -> bool:
    """Return whether `document` is plainly another tool's file. Then that is its only error."""
    if any(key in document for key in _OURS):
        return False
    for what, keys in _KINDS:
        if all(key in document for key in keys):
            message = f"this looks like {what}, not like a workflow of Symphony"
            fields.findings.add("unknown-key", keys[-1], message, _HINT)
            return True
    return False
