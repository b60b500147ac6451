"""Pages of the documentation: their blocks, what their commands print, and how the two are compared.

A page shows what its commands print on a terminal. Two runs differ in ids, times and durations alone:
`VARYING` lists all that may differ. A page may leave lines out, with a line `…` in their place, and
cut a line, with `…` at its end.
"""

import errno
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.screens import Screen

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS, LARGE = 100, 50, 1_000_000
"""Size of the terminal that commands see, and of the one on which we read what they wrote."""

PATIENCE_S, LOOK_S = 60.0, 0.05
"""Seconds that a command may take, and between two looks whether it has ended."""

CUT_MAX = 10
"""How many characters more or fewer a table may show of a text that it cuts: other columns vary."""

HOME = "/home/ann"
"""What pages show in place of the temporary folder of a run."""

VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(?<![0-9a-z#-])[0-9a-f]{8}(?![0-9a-z-])"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (µs|ms|s|min|h)\b( \d+ (s|min)\b)?"), "SPAN"),
    (re.compile(r'(?<=_ms": )\d+(\.\d+)?'), "SPAN"),
    (re.compile(r"[ ·░▒▓█✗]*[·░▒▓█][ ·░▒▓█✗]*"), " BAR "),
    (re.compile(r"SPAN → SPAN"), "SPAN"),  # before and after; one alone where both are equal
    (re.compile(r"^slowest  .*"), "slowest"),
    (re.compile(r"─{2,}"), "──"),
    (re.compile(r"(?<=\S) {2,}"), " "),
)
"""What may differ between two runs, and the word that stands for it when outputs are compared."""

BLOCK = re.compile(
    r"(?:<!-- (?P<action>file|run)(?:: (?P<argument>\S+))? -->\n)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: what its comment says to do with it, and where its text is in the page."""

    action: str | None
    argument: str | None
    language: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Command:
    """A line after `$ `, and the lines that the page shows below it."""

    line: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command printed on a terminal, as lines, and its exit status."""

    status: int
    lines: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(m["action"], m["argument"], m["language"], m["text"], m.start("text"), m.end("text"))
        for m in BLOCK.finditer(text)
    ]


def commands(text: str) -> list[Command]:
    """The commands of a console block, each with the output below it."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ()))
        elif found:
            found[-1] = Command(found[-1].line, (*found[-1].shown, line))
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who follows a page in an empty folder, with an empty home, on a terminal."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where the reader works."""
        return self.home / "demo"

    def environment(self) -> dict[str, str]:
        """The variables of the reader's shell, in which `symphony` is found."""
        keep = {name: os.environ[name] for name in ("TMPDIR", "LANG", "LC_ALL") if name in os.environ}
        return keep | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "TERM": "xterm",
            "NO_COLOR": "1",
        }

    def write(self, name: str, text: str) -> None:
        """Make a file in the folder, as a page asks."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def run(self, argv: list[str]) -> Printed:
        """Run a program on a terminal of its own and wait for its end. Its input is empty."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = os.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
            )
            os.close(theirs)
            written = _until_the_end(process, ours)
        finally:
            os.close(ours)
        return Printed(process.returncode, tuple(on_paper(line, self.home) for line in screen(written)))


def _until_the_end(process: "subprocess.Popen[bytes]", terminal: int) -> bytes:
    """What `process` writes until it ends; children that it leaves behind may hold the terminal longer."""
    written, since = b"", time.monotonic()
    looking = select.poll()  # which takes descriptors of any number
    looking.register(terminal, select.POLLIN)
    while True:
        ended = process.poll() is not None
        if looking.poll(0 if ended else LOOK_S * 1000):
            try:
                piece = os.read(terminal, 65_536)
            except OSError as error:
                if error.errno != errno.EIO:  # Linux's word for a terminal that nobody holds any more
                    raise
                piece = b""
            if not piece:
                break
            written += piece
        elif ended:
            break
        elif time.monotonic() - since > PATIENCE_S:
            process.kill()
            raise TimeoutError(f"still running after {PATIENCE_S:g} s: {process.args!r}")
    process.wait(PATIENCE_S)
    return written


def screen(written: bytes) -> list[str]:
    """The lines on a terminal after `written`, which is so large that no line is wrapped or scrolls out."""
    terminal = Screen(LARGE, LARGE)
    terminal.feed(written)
    return terminal.lines


def on_paper(line: str, home: Path) -> str:
    """`line` as a page shows it, without the places of this machine."""
    return line.replace(str(home), HOME).replace(str(ROOT), f"{HOME}/symphony")


def comparable(line: str) -> str:
    """`line` with a word in place of everything that differs between two runs."""
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.rstrip()


def aligned(shown: tuple[str, ...], printed: tuple[str, ...]) -> tuple[str, ...] | None:
    """`shown` with what was `printed` in place of each line, its marks kept; None if they differ.

    A line `…` stands for one line or more, `…` at the end of a line for at least one character.
    """
    if not shown:
        return None if printed else ()
    if shown[0] == "…":
        for skipped in range(1, len(printed) + 1):
            rest = aligned(shown[1:], printed[skipped:])
            if rest is not None:
                return ("…", *rest)
        return None
    if not printed:
        return None
    line = fitted(shown[0], printed[0])
    rest = None if line is None else aligned(shown[1:], printed[1:])
    return None if line is None or rest is None else (line, *rest)


def fitted(shown: str, printed: str) -> str | None:
    """`printed`, cut where `shown` is; None if they differ."""
    if comparable(shown) == comparable(printed):
        return printed
    if shown.endswith("…") and printed.endswith("…"):
        one, other = comparable(shown[:-1]), comparable(printed[:-1])
        if abs(len(one) - len(other)) <= CUT_MAX and (one.startswith(other) or other.startswith(one)):
            return printed
    if shown.endswith("…"):
        beginning = comparable(shown[:-1])
        if comparable(printed).startswith(beginning) and comparable(printed) != beginning:
            return _cut(printed, len(shown) - 1)
    return None


def _cut(line: str, length: int) -> str:
    return line if len(line) <= length else f"{line[:length].rstrip(' ')}…"


def shortened(shown: tuple[str, ...], printed: tuple[str, ...]) -> tuple[str, ...]:
    """What a page should show of `printed`: as much at its beginning and its end as it showed before.

    Lines that it had cut stay cut.
    """
    printed = tuple(_cut_like(shown, line) for line in printed)
    if "…" not in shown:
        return printed
    first, last = shown.index("…"), len(shown) - 1 - shown[::-1].index("…")
    head, tail = first, len(shown) - 1 - last
    if head + tail >= len(printed):
        return printed
    between = tuple(line for line in shown[first + 1 : last] if line != "…")
    kept = [line for line in printed[head : len(printed) - tail] if any(fitted(one, line) for one in between)]
    middle = (line for one in kept for line in (one, "…"))
    return (*printed[:head], "…", *middle, *printed[len(printed) - tail :])


def _cut_like(shown: tuple[str, ...], line: str) -> str:
    cut = (fitted(one, line) for one in shown if one.endswith("…") and one != "…")
    return next((one for one in cut if one is not None), line)


def follow(text: str, reader: Reader) -> Iterator[tuple[Block, list[tuple[Command, Printed]]]]:
    """Do what a page says, block by block: write its files, run its programs and its commands.

    Raises AssertionError where a program or a command ends with another status than the page says.
    """
    for block in blocks(text):
        if block.action == "file":
            assert block.argument is not None
            reader.write(block.argument, block.text)
        elif block.action == "run" and block.language == "console":
            typed = commands(block.text)
            done = [(command, reader.run(["sh", "-c", command.line])) for command in typed]
            expected = [0] * (len(done) - 1) + [int(block.argument or 0)]
            for (command, printed), status in zip(done, expected, strict=True):
                assert printed.status == status, "\n".join((f"$ {command.line}", *printed.lines))
            yield block, done
        elif block.action == "run":
            printed = reader.run([sys.executable, "-P", "-c", block.text])
            assert printed.status == 0, "\n".join((block.text, *printed.lines))


def differences(text: str, reader: Reader) -> list[str]:
    """Commands of a page that print something else than it shows, each with what they print."""
    return [
        "\n".join((f"$ {command.line}", "printed:", *printed.lines, "the page shows:", *command.shown))
        for _, done in follow(text, reader)
        for command, printed in done
        if aligned(command.shown, printed.lines) is None
    ]


def rewritten(text: str, reader: Reader) -> str:
    """The page with the outputs of a new run; shortened where it was, and as it is if nothing differs."""
    changed, parts, at = False, list[str](), 0
    for block, done in follow(text, reader):
        lines = list[str]()
        for command, printed in done:
            fits = aligned(command.shown, printed.lines)
            changed = changed or fits is None
            lines += [
                f"$ {command.line}",
                *(shortened(command.shown, printed.lines) if fits is None else fits),
            ]
        parts += [text[at : block.start], *(f"{line}\n" for line in lines)]
        at = block.end
    return "".join((*parts, text[at:])) if changed else text


def unnamed_files(text: str) -> list[str]:
    """Files whose name does not stand in backquotes in the paragraph before their block."""
    return [
        block.argument or "?"
        for block in blocks(text)
        if block.action == "file" and f"`{block.argument}`" not in _paragraph_before(text, block)
    ]


def _paragraph_before(text: str, block: Block) -> str:
    before = text[: text.rindex("<!--", 0, block.start)].rstrip()
    return before.rpartition("\n\n")[2]


def hand_shortened(text: str) -> list[str]:
    """Output with a mark where none may be: `…` is a line of its own or ends one, and something is shown."""
    return [
        line
        for block in blocks(text)
        if block.action == "run" and block.language == "console"
        for command in commands(block.text)
        for line in command.shown
        if (line.startswith("…") and line != "…") or command.shown == ("…",)
    ]


LINK = re.compile(r"\]\((?P<page>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
HEADING = re.compile(r"^#{1,6} (?P<words>.+?)(?: \{ ?#(?P<id>[^ }]+) ?\})?$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings: those given, and those that are made from the words.

    The builder of the site and GitHub make the same anchor of letters, digits, dashes and spaces;
    of other characters they leave out those that are not part of a word.
    """
    found = set[str]()
    for heading in HEADING.finditer(without_code(text)):
        plain = re.sub(r"[^\w\s-]", "", heading["words"].lower()).strip()
        found.add(heading["id"] or re.sub(r"\s", "-", plain))
    return found


def without_code(text: str) -> str:
    """A page without its fenced blocks, whose lines only look like headings and links."""
    return BLOCK.sub("", text)


def dead_links(page: Path, folder: Path, texts: Mapping[Path, str]) -> list[str]:
    """Links of `page` to a file that is not there, or to an anchor that no heading of it has.

    `texts` are the pages that are known, and `folder` is where `page` is, or will be.
    """
    return [
        link[0]
        for link in LINK.finditer(without_code(texts[page]))
        if "://" not in link["page"] and not _leads_somewhere(link, page, folder, texts)
    ]


def _leads_somewhere(link: re.Match[str], page: Path, folder: Path, texts: Mapping[Path, str]) -> bool:
    target = Path(os.path.normpath(folder / link["page"])) if link["page"] else page
    if target in texts:
        return not link["anchor"] or link["anchor"] in anchors(texts[target])
    return target.exists()
