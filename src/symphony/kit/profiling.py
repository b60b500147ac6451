"""`csv.profile`: what is in a table of any size, column by column, in bounded memory."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias, TypedDict

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.kit.csv_blocks import Block, UnusualTable, plain
from symphony.kit.csv_text import CsvReader, CsvSource
from symphony.kit.errors import Stopped
from symphony.kit.tables import BadRow, Ragged, Shaping, kind_of, widest
from symphony.sdk import Context, operator

SAMPLE_MAX: Final = 10_000
"""The most numbers kept of a column. Up to this many, quantiles are exact."""
SAMPLE_TOTAL: Final = 2_000_000
"""Numbers kept of all columns together: the wider the table, the smaller each sample."""
DISTINCT_KEPT: Final = 4_096
"""The most different values that are counted. More are estimated within about 2 %."""
COUNTED_MAX: Final = 2_000
"""Different values whose frequency is counted; a column with more has no usual ones."""
TOP: Final = 5
OUTLIERS_SHOWN: Final = 5
BLOCK_ROWS: Final = 4_096
"""Records that are looked at together; fewer if they have very many fields, or long ones."""
BLOCK_FIELDS: Final = 500_000
BLOCK_CHARS: Final = 16 * 1024 * 1024
_TEXT_SHOWN: Final = 60
_NUMERIC: Final = ("integer", "number")
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
"""What can be measured: more than `csv.read` turns into numbers, since nothing is written again."""
_PLAIN: Final = r"[+-]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,18})?"
_PLAIN_LINES: Final = re.compile(rf"{_PLAIN}(?:\n{_PLAIN})*", re.ASCII)
"""Lines that are numbers of moderate size, all of them."""
_DATE: Final = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[T ]\d{2}:\d{2}.{0,20})?", re.ASCII
)


Fields: TypeAlias = Sequence[str | None]
"""One column of some records; None where a record had too few fields."""


class Frequent(TypedDict):
    """A value and how often it stands in the column."""

    value: str
    count: int


class Outlier(TypedDict):
    """A number far from the others, and where it stands."""

    line: int
    value: float


class Column(TypedDict):
    """One column. What does not apply to its type is null."""

    name: str
    type: str
    missing: int
    distinct: int
    distinct_exact: bool
    top: list[Frequent]
    minimum: str | None
    maximum: str | None
    mean: float | None
    deviation: float | None
    quantiles: list[float]
    quantiles_exact: bool
    outliers: int
    farthest: list[Outlier]
    length_min: int | None
    length_max: int | None


class Profile(TypedDict):
    """What `csv.profile` returns."""

    columns: list[Column]
    rows: int
    delimiter: str
    problems: list[BadRow]
    problems_total: int


@operator("csv.profile", version="1.0.0", pure=True, cpu=True)
def profile(
    path: Path,
    context: Context,
    delimiter: str | None = None,
    header: bool = True,
    missing: list[str] = ["", "NA", "N/A", "null", "NULL", "None", "-"],  # noqa: B006
    ragged: Ragged = "fill",
    encoding: str = "utf-8",
) -> Profile:
    """Describe each column of a table: type, missing and distinct values, quantiles, outliers.

    The file is read twice, as a stream, and may have any size: quantiles of more than 10,000 numbers
    come from a sample of them (drawn the same every time), and more than 4,096 distinct values are
    estimated. Outliers lie more than 1.5 interquartile ranges outside the quartiles (J. Tukey,
    "Exploratory Data Analysis", 1977).

    path: a CSV file
    delimiter: what stands between two fields; null finds out
    header: whether the first record names the columns
    missing: texts that stand for nothing
    ragged: what to do with a record that has too few or too many fields: fail, fill it, or skip it
    encoding: one that Python knows

    Returns:
        columns: maps of name, type (integer, number, boolean, date, string, or null for an empty
            column), missing, distinct, distinct_exact, top (the usual values, with counts), minimum
            and maximum (numbers and dates), mean, deviation, quantiles (0, 25, 50, 75 and 100 %),
            quantiles_exact, outliers (how many), farthest (some of them, with lines), length_min and
            length_max (of texts)
        rows: how many records
        delimiter: what was found or given
        problems: maps of line and message, the first 1,000
        problems_total: how many there are
    """
    source = CsvSource.of(context.cwd / path, None, None)
    given = _Given(source, header, encoding, frozenset(missing), ragged, context.cancelled)
    try:
        return _profile(given, delimiter, given.plain)
    except UnusualTable:
        return _profile(given, delimiter, given.general)


@dataclass(frozen=True, slots=True)
class _Given:
    """The table to profile, and how to read it."""

    source: CsvSource
    header: bool
    encoding: str
    missing: frozenset[str]
    ragged: Ragged
    cancelled: Callable[[], bool]

    def columns(self, names: Sequence[str]) -> "list[_Column]":
        room = max(100, min(SAMPLE_MAX, SAMPLE_TOTAL // max(1, len(names))))
        return [_Column(name, room, self.missing) for name in names]

    @contextmanager
    def general(self, delimiter: str | None) -> Iterator["_Pass"]:
        """One look at any table, a record at a time. Raises InputRefused, naming the line, Stopped."""
        reading = CsvReader(self.source, delimiter=delimiter, header=self.header, encoding=self.encoding)
        with reading as table:
            shaping = Shaping(table, self.ragged, self.cancelled)
            yield _Pass(table.delimiter, table.columns, _blocks(shaping), shaping)

    @contextmanager
    def plain(self, delimiter: str | None) -> Iterator["_Pass"]:
        """One look at a table with nothing unusual, in the same blocks. Raises UnusualTable, Stopped."""
        most = BLOCK_ROWS
        with plain(
            self.source, delimiter=delimiter, header=self.header, encoding=self.encoding, rows=most
        ) as table:
            if len(table.columns) > BLOCK_FIELDS // BLOCK_ROWS:
                raise UnusualTable  # its blocks are smaller
            yield _Pass(table.delimiter, table.columns, self._plain_blocks(table.blocks, most), None)

    def _plain_blocks(self, blocks: Iterable[Block], most: int) -> "Iterator[Fieldwise]":
        full = True
        for line, block in blocks:
            if self.cancelled():
                raise Stopped("the node was cancelled")
            size = sum(map(len, chain.from_iterable(block)))
            if line is None or not full or size > BLOCK_CHARS:
                raise UnusualTable
            full = len(block) == most
            yield range(line, line + len(block)), list(zip(*block, strict=True))


Fieldwise: TypeAlias = tuple[Sequence[int], Sequence[Fields]]
"""The numbers of the lines that some records begin in, and the fields of these by column."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """A table that is gone through once. `shaping` knows what was wrong with records, if anything may be."""

    delimiter: str
    columns: list[str]
    blocks: Iterator[Fieldwise]
    shaping: Shaping | None


def _profile(
    given: _Given,
    delimiter: str | None,
    opened: "Callable[[str | None], AbstractContextManager[_Pass]]",
) -> Profile:
    rows = 0
    with opened(delimiter) as table:
        columns = given.columns(table.columns)
        for lines, fields in table.blocks:
            rows += len(lines)
            for column, texts in zip(columns, fields, strict=True):
                column.take(texts)
    if numeric := _numeric(columns):
        with opened(table.delimiter) as again:
            for lines, fields in again.blocks:
                for at, column in numeric:
                    column.compare(lines, fields[at])
    shaping = table.shaping
    return Profile(
        columns=[column.report() for column in columns], rows=rows, delimiter=table.delimiter,
        problems=[] if shaping is None else shaping.problems,
        problems_total=0 if shaping is None else shaping.problems_total,
    )  # fmt: skip


def _numeric(columns: "Sequence[_Column]") -> "list[tuple[int, _Column]]":
    return [(at, column) for at, column in enumerate(columns) if column.fences() is not None]


def _blocks(shaping: Shaping) -> Iterator[Fieldwise]:
    """Yield the numbers of the lines that some records begin in, and the fields of these by column."""
    rows_max = max(16, min(BLOCK_ROWS, BLOCK_FIELDS // max(1, len(shaping.table.columns))))
    lines: list[int] = []
    rows: list[list[str | None]] = []
    size = 0
    for line, fields in shaping:
        lines.append(line)
        rows.append(fields)
        size += sum(map(len, filter(None, fields)))
        if len(rows) == rows_max or size > BLOCK_CHARS:
            yield lines, list(zip(*rows, strict=True))
            lines, rows, size = [], [], 0
    if rows:
        yield lines, list(zip(*rows, strict=True))


@dataclass(slots=True)
class _Column:
    """Running figures of one column. `nothing` has the texts that count as missing."""

    name: str
    room: int
    nothing: frozenset[str]
    missing: int = 0
    kinds: set[str] = field(default_factory=set)
    counts: Counter[str] | None = field(default_factory=Counter)
    distinct: "Distinct" = field(default_factory=lambda: Distinct(DISTINCT_KEPT))
    numbers: "Sample" = field(init=False)
    least: str | None = None
    greatest: str | None = None
    shortest: int | None = None
    longest: int = 0
    outliers: int = 0
    farthest: list[Outlier] = field(default_factory=list)
    _fences: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.numbers = Sample(self.room)

    def take(self, fields: Fields) -> None:
        """The fields of some records. Each different text is looked at once."""
        found: dict[str, int] = {}
        for text, count in Counter(fields).items():
            if text is None or text.strip() in self.nothing:
                self.missing += count
            else:
                found[text] = count
        if not found:
            return
        if "string" not in self.kinds:  # else it is one of texts, whatever follows
            self._look(found)
        self._count(found)
        lengths = list(map(len, found))
        self.shortest = min(lengths) if self.shortest is None else min(self.shortest, *lengths)
        self.longest = max(self.longest, *lengths)

    def _look(self, found: dict[str, int]) -> None:
        """Count the kinds of these values, their sizes and extremes."""
        bare = [text.strip() for text in found]
        kinds = kinds_of(bare)
        self.kinds.update(kinds)
        if self.kind in _NUMERIC:
            self.numbers.add(list(map(float, bare)), list(found.values()))
        elif "date" in kinds:
            dates = [text for text, kind in zip(bare, kinds, strict=True) if kind == "date"]
            self.least = min(dates) if self.least is None else min(self.least, *dates)
            self.greatest = max(dates) if self.greatest is None else max(self.greatest, *dates)

    def _count(self, found: dict[str, int]) -> None:
        if self.counts is None:
            self.distinct.add(found)
            return
        self.distinct.add(found.keys() - self.counts.keys())
        self.counts.update(found)
        if len(self.counts) > COUNTED_MAX:
            self.counts = None

    @property
    def kind(self) -> str:
        """The type that fits every field."""
        return widest(self.kinds)

    def fences(self) -> tuple[float, float] | None:
        """Return where outliers begin; None for something that is not a column of numbers."""
        if self.kind in _NUMERIC and self._fences is None:
            _, low, _, high, _ = self.numbers.quantiles()
            reach = 1.5 * (high - low)
            self._fences = low - reach, high + reach
        return self._fences

    def compare(self, lines: Sequence[int], fields: Fields) -> None:
        """Compare these fields with the fences. The outliers farthest away are kept."""
        import numpy as np

        assert self._fences is not None
        low, high = self._fences
        values = np.array(self._numbers(fields))
        for at in np.flatnonzero((values < low) | (values > high)).tolist():
            self.outliers += 1
            self.farthest.append(Outlier(line=lines[at], value=values[at].item()))
        self.farthest.sort(key=lambda one: -max(low - one["value"], one["value"] - high))
        del self.farthest[OUTLIERS_SHOWN:]

    def _numbers(self, fields: Fields) -> list[float]:
        if None not in fields and self.nothing.isdisjoint(fields) and not any(map(_measures, self.nothing)):
            with suppress(ValueError):  # a text for nothing, with spaces around it
                return [float(text) for text in fields if text is not None]
        return [self._number(text) for text in fields]

    def _number(self, text: str | None) -> float:
        return math.nan if text is None or text.strip() in self.nothing else float(text)

    def report(self) -> Column:
        """Return the figures."""
        kind = self.kind
        numeric = kind in _NUMERIC
        quantiles = self.numbers.quantiles() if numeric else []
        usual = sorted((self.counts or {}).items(), key=lambda one: (-one[1], one[0]))[:TOP]
        least, greatest = (self.least, self.greatest) if kind == "date" else (None, None)
        if numeric:
            least, greatest = (_number(value, kind) for value in (self.numbers.least, self.numbers.greatest))
        return Column(
            name=self.name,
            type=kind,
            missing=self.missing,
            distinct=self.distinct.count(),
            distinct_exact=self.distinct.exact,
            top=[Frequent(value=text[:_TEXT_SHOWN], count=count) for text, count in usual if count > 1],
            minimum=least,
            maximum=greatest,
            mean=self.numbers.mean if numeric else None,
            deviation=self.numbers.deviation if numeric else None,
            quantiles=quantiles,
            quantiles_exact=not numeric or self.numbers.whole,
            outliers=self.outliers,
            farthest=self.farthest,
            length_min=self.shortest if kind == "string" else None,
            length_max=self.longest if kind == "string" else None,
        )


def _measures(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def kinds_of(texts: Sequence[str]) -> Sequence[str]:
    """Return what each text is by itself: a date, a number that can be measured, or as `kind_of` says."""
    lines = "\n".join(texts)
    if _PLAIN_LINES.fullmatch(lines) and lines.count("\n") == len(texts) - 1:
        return ["number" if "." in text else "integer" for text in texts]
    return ["date" if _DATE.fullmatch(text) else _measured(text) for text in texts]


def _measured(text: str) -> str:
    if _INTEGER.fullmatch(text) and INTEGER_MIN <= int(text) <= INTEGER_MAX:
        return "integer"
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return "number"
    return kind_of(text)


def _number(value: float, kind: str) -> str:
    return str(int(value)) if kind == "integer" and abs(value) < 2**53 else repr(value)


class Distinct:
    """Counts different texts: exactly up to `kept`, by the least of their hashes beyond.

    Source: Z. Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._least: set[bytes] = set()
        self._bound = b"\xff" * 8
        self.exact = True

    def add(self, texts: Iterable[str]) -> None:
        """Some texts, which may have been there before."""
        least, bound, hashed = self._least, self._bound, hashlib.blake2b
        for text in texts:
            digest = hashed(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            if digest <= bound:
                least.add(digest)
        if len(least) >= 2 * self._kept:
            self._prune()

    def _prune(self) -> None:
        kept = sorted(self._least)[: self._kept]
        self._least, self._bound, self.exact = set(kept), kept[-1], False

    def count(self) -> int:
        """Return how many different ones there were, or nearly."""
        if self.exact:
            return len(self._least)
        kept = sorted(self._least)[: self._kept]
        return round((self._kept - 1) / (int.from_bytes(kept[-1], "big") / 2**64))


class Sample:
    """Mean and deviation of all numbers, and a fair sample of them for quantiles.

    Sources: J. Vitter, "Random Sampling with a Reservoir", 1985, algorithm R; T. Chan, G. Golub and
    R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    """

    def __init__(self, room: int) -> None:
        import numpy as np

        self._room, self._chance = room, np.random.default_rng(0)  # the same sample every time
        self._kept: np.ndarray[tuple[int], np.dtype[np.float64]] = np.empty(0)
        self.count = 0
        self.least, self.greatest = math.inf, -math.inf
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: Sequence[float], counts: Sequence[int]) -> None:
        """Some numbers, at least one, each so many times."""
        import numpy as np

        some = np.repeat(np.array(values), counts)
        before, more = self.count, len(some)
        self.count += more
        self.least, self.greatest = min(self.least, *values), max(self.greatest, *values)
        with np.errstate(over="ignore", invalid="ignore"):  # of enormous numbers there is no deviation
            mean = float(some.mean())
            step = mean - self.mean
            self._squares += float(np.square(some - mean).sum()) + step * step * before * more / self.count
            self.mean += step * more / self.count
        fit = max(0, self._room - before)
        self._kept = np.concatenate((self._kept, some[:fit]))
        if more > fit:
            at = self._chance.integers(0, np.arange(before + fit + 1, self.count + 1))
            taken = at < self._room
            self._kept[at[taken]] = some[fit:][taken]

    @property
    def whole(self) -> bool:
        """True if every number in the sample is whole."""
        return self.count == len(self._kept)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a sample (n - 1); None of one number, or of numbers too large."""
        if self.count < 2 or not math.isfinite(self._squares):
            return None
        return math.sqrt(self._squares / (self.count - 1))

    def quantiles(self) -> list[float]:
        """0, 25, 50, 75 and 100 %, between neighbours linearly; zeros where there are no numbers."""
        kept = sorted(self._kept.tolist()) or [0.0]
        found = []
        for share in (0.25, 0.5, 0.75):
            place = share * (len(kept) - 1)
            low = math.floor(place)
            high = min(low + 1, len(kept) - 1)
            found.append(kept[low] * (1 - place + low) + kept[high] * (place - low))
        return [self.least, *found, self.greatest] if self.count else [0.0] * 5
