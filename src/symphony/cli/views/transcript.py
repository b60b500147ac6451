"""Shows what nodes print and models say, for `runs logs`."""

from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from symphony.cli.console import output
from symphony.commons import moments
from symphony.commons.terminal_text import visible
from symphony.ports.runs import titled

if TYPE_CHECKING:
    from symphony.ports.logs import LogLine, Stream


def stream_named(name: str | None) -> "Stream | None":
    """Return the stream of that name; None of none."""
    match name:
        case "stdout" | "stderr" | "tokens":
            return name
    return None


class TranscriptWriter(msgspec.Struct):
    """Makes text of log lines. `named`: each after its node's name; `safe`: made fit for a terminal.

    There a line is shown as it was last drawn, without colours, and other control characters are escaped.
    Pieces of a model's text go on one line until another node prints.
    """

    as_json: bool
    named: bool
    safe: bool
    _speaker: str | None = None

    def text(self, line: "LogLine") -> str:
        """Return what to print for the next line."""
        if self.as_json:
            return _json(line)
        if line.stream == "tokens":
            head = "" if self._speaker == line.node else self.end() + self._prefix(line)
            self._speaker = line.node
            return head + (output.shown(line.text, lines=True) if self.safe else line.text)
        return self.end() + self._prefix(line) + self._shown(line.text).rstrip("\n") + "\n"

    def end(self) -> str:
        """Return the end of the line that a model has begun, if it has."""
        if self._speaker is None:
            return ""
        self._speaker = None
        return "\n"

    def _prefix(self, line: "LogLine") -> str:
        return f"{output.shown(titled(line.node, line.label))} | " if self.named else ""

    def _shown(self, text: str) -> str:
        return output.shown(visible(text), lines=True) if self.safe else text


def _json(line: "LogLine") -> str:
    import msgspec

    told = {"at": moments.iso(line.at), "node": line.node, "stream": line.stream, "text": line.text}
    label = {} if line.label is None else {"label": line.label}
    return output.quiet_json(msgspec.json.encode(told | label).decode()) + "\n"


def elsewhere(node: str, run: str, name: str) -> str:
    """`u[0] was reused from ci-4, which has its log: symphony runs logs ci-4 'u[0]'`."""
    command = output.shown(f"symphony runs logs {quote(run)} {quote(name)}")
    return f"{output.shown(node)} was reused from {output.shown(run)}, which has its log: {command}"
