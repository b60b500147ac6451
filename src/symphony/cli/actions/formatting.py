"""Laying out workflow files: what is written, shown and counted."""

import difflib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symphony.cli.arguments.files import others_named
from symphony.cli.arguments.finding import Named, stdin_body
from symphony.cli.console import blocks, exits, output
from symphony.cli.console.blocks import STDIN
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import FileTooLarge, read_bounded, write_atomic
from symphony.commons.lines import lines_of
from symphony.workflow import WorkflowInvalid
from symphony.workflow.documents import BYTES_MAX, UnknownFormat, format_of, format_of_file
from symphony.workflow.documents.compression import SUFFIX
from symphony.workflow.documents.formats import format_named, format_of_content
from symphony.workflow.files import unreadable
from symphony.workflow.formatting import CannotFormat, formatted


@dataclass(frozen=True, slots=True)
class _Text:
    """One document as it is and as it would be."""

    path: Path
    before: bytes
    after: bytes

    @property
    def name(self) -> str:
        return output.shown(blocks.SourceText.named(self.path).name)


def format_files(named: Named, *, check: bool, diff: bool) -> int:
    """Lay out each file, or say what would change; the exit status.

    Raises SymphonyError where there is one file and it cannot be laid out.
    """
    counts: Counter[str] = Counter()
    for path in named.files:
        if not named.one and _is_binary(path):
            continue
        try:
            text = _laid_out(path)
            if not check and not diff:
                _deliver(text)
        except SymphonyError as error:
            if named.one:
                raise _with_file(error, path) from None
            counts["refused"] += 1
            output.note(_block(error, path).rstrip("\n"))
            continue
        counts["changed" if text.after != text.before else "same"] += 1
        _tell(text, check=check, diff=diff)
    if not named.one:
        output.note(_summary(counts, would=check or diff))
    if counts["refused"]:
        return exits.USAGE
    return exits.FAILED if check and counts["changed"] else exits.OK


def _laid_out(path: Path) -> _Text:
    """Raises SymphonyError."""
    if path == STDIN:
        body = stdin_body()
        kind = format_of_content(body) or format_named("yaml")
    else:
        try:
            body = read_bounded(path, BYTES_MAX)
        except FileTooLarge:
            message = f"the file has more than {BYTES_MAX // 2**20} MiB"
            raise CannotFormat(message, hint="keep large values in files of their own") from None
        except SymphonyError as error:
            with others_named(path):
                raise unreadable(path, error) from None
        kind = format_of_file(path, body)
    return _Text(path, body, formatted(body, kind, str(blocks.SourceText.named(path).name)))


def _is_binary(path: Path) -> bool:
    """True if a file found in a folder is one that no person writes."""
    if path == STDIN or path.name.lower().endswith(SUFFIX):
        return path != STDIN
    try:
        return format_of(path).binary
    except UnknownFormat:
        return False


def _deliver(text: _Text) -> None:
    """Write the layout to where the document came from; of a link, to the file that it leads to."""
    if text.path == STDIN:
        output.say_bytes(text.after)
    elif text.after != text.before:
        write_atomic(Path(os.path.realpath(text.path)), text.after)


def _tell(text: _Text, *, check: bool, diff: bool) -> None:
    if text.after == text.before:
        return
    if diff:
        output.say(output.shown("".join(_difference(text)), lines=True))
    if check:
        output.note(f"would change {text.name}")
    elif not diff and text.path != STDIN:
        output.note(f"changed {text.name}")


def _difference(text: _Text) -> Iterator[str]:
    """Return the difference in unified form, each line with an end."""
    before, after = (
        [f"{line}\n" for line in lines_of(b.decode("utf-8-sig"))] for b in (text.before, text.after)
    )
    found = list(difflib.unified_diff(before, after, text.name, f"{text.name} in canonical layout"))
    return iter(found or [f"{text.name}: only the ends of lines would change\n"])


def _summary(counts: Counter[str], *, would: bool) -> str:
    changed = f"{output.count(counts['changed'], 'file')} {'would change' if would else 'changed'}"
    refused = f", {counts['refused']:,} cannot be laid out" if counts["refused"] else ""
    return f"{changed}, {counts['same']:,} as it should be{refused}"


def _with_file(error: SymphonyError, path: Path) -> SymphonyError:
    """Return the error, naming the file."""
    if isinstance(error, CannotFormat):
        name = blocks.SourceText.named(path).name
        return CannotFormat(f"{name}: {error.message}", hint=error.hint)
    return error


def _block(error: SymphonyError, path: Path) -> str:
    """Return what is wrong with one of several files."""
    page = blocks.BlockPage(width=output.width(sys.stderr), colours=output.colourful(sys.stderr))
    if isinstance(error, WorkflowInvalid):
        return blocks.report_blocks(error.report, page, source=blocks.SourceText.of(path))
    found = _with_file(error, path)
    return blocks.error_block(found.code, found.message, page, hint=found.hint)
