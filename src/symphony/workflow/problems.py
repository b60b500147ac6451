"""What is wrong with a workflow, and where. Values only."""

from typing import Literal, TypeAlias

import msgspec

Code: TypeAlias = Literal[
    "syntax", "unsupported-schema", "unknown-key", "duplicate-name", "reserved-name", "bad-name",
    "unknown-node", "unknown-port", "unknown-operator", "unknown-model", "unknown-workflow",
    "type-mismatch", "missing-input", "bad-expression", "cycle", "limit-exceeded",
    "orphan", "unreachable", "unused-input",
]  # fmt: skip


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem. `place` is a path such as `nodes.embed.inputs.texts`, empty for the document.

    `line` and `column` count from 1 and are None where the workflow did not come from text.
    """

    code: Code
    place: str
    message: str
    hint: str
    line: int | None = None
    column: int | None = None


class ValidationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found, in document order. Warnings do not stop a run."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.errors
