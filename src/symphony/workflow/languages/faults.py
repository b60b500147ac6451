"""The faults of a text in a language. Values only."""

import msgspec

from symphony.commons.lines import column_number, line_number
from symphony.workflow.expressions.scan import Read
from symphony.workflow.problems import Code


class LiteralFault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `at` is the character, from 0, or `line` the line, from 1, where it stands.

    If `sure`, the text cannot work; otherwise it fails only if the fault is reached. `read` is a name
    that the expression cannot see but the workflow may have.
    """

    message: str
    hint: str
    at: int | None = None
    line: int | None = None
    code: Code = "bad-expression"
    sure: bool = True
    read: Read | None = None

    def told(self, text: str) -> str:
        """Return the message, with the place in `text` where that helps."""
        several = "\n" in text.rstrip("\r\n") or "\r" in text.rstrip("\r\n")
        if self.at is not None and several:
            row, column = line_number(text, self.at), column_number(text, self.at)
            return f"{self.message} (at line {row}, character {column})"
        if self.at is not None and text:
            return f"{self.message} (at character {self.at + 1})"
        return f"{self.message} (in line {self.line})" if self.line is not None and several else self.message
