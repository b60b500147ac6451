"""`csv.profile`: what is in a table of any size, column by column, in bounded memory."""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypedDict

from symphony.kit.csv_text import Reading, Source
from symphony.kit.tables import BadRow, Ragged, Shaping, kind_of, widest
from symphony.sdk import Context, operator

SAMPLE_MAX: Final = 10_000
"""Numbers kept of a column: up to so many, quantiles are exact."""
SAMPLE_TOTAL: Final = 2_000_000
"""The same for all columns together: the wider the table, the smaller each sample."""
DISTINCT_KEPT: Final = 4_096
"""Up to so many different values are counted; beyond, estimated within about 2 %."""
COUNTED_MAX: Final = 2_000
"""Different values whose frequency is counted; a column with more has no usual ones."""
TOP: Final = 5
OUTLIERS_SHOWN: Final = 5
_TEXT_SHOWN: Final = 60
_DATE: Final = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[T ]\d{2}:\d{2}.{0,20})?", re.ASCII
)


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
    source = Source.of(context.cwd / path, None, None)
    nothing = frozenset(missing)

    def read(take: Callable[[int, int, str], None]) -> tuple[Shaping, int]:
        rows = 0
        for line, fields in shaping:
            rows += 1
            for at, text in enumerate(fields):
                if text is None or text.strip() in nothing:
                    columns[at].missing += 1
                else:
                    take(at, line, text)
        return shaping, rows

    with Reading(source, delimiter=delimiter, header=header, encoding=encoding) as table:
        room = max(100, min(SAMPLE_MAX, SAMPLE_TOTAL // max(1, len(table.columns))))
        columns = [_Column(name, room) for name in table.columns]
        shaping = Shaping(table, ragged, context.cancelled)
        first, rows = read(lambda at, _line, text: columns[at].take(text))
    numeric = [column for column in columns if column.fences() is not None]
    if numeric:
        with Reading(source, delimiter=table.delimiter, header=header, encoding=encoding) as again:
            shaping = Shaping(again, ragged, context.cancelled)
            before = [column.missing for column in columns]
            read(lambda at, line, text: columns[at].compare(line, text))
            for column, count in zip(columns, before, strict=True):
                column.missing = count
    return Profile(
        columns=[column.report() for column in columns], rows=rows, delimiter=table.delimiter,
        problems=first.problems, problems_total=first.problems_total,
    )  # fmt: skip


@dataclass(slots=True)
class _Column:
    """Running figures of one column."""

    name: str
    room: int
    missing: int = 0
    kinds: set[str] = field(default_factory=set)
    counts: dict[str, int] | None = field(default_factory=dict)
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

    def take(self, text: str) -> None:
        """One field that is there."""
        bare = text.strip()
        kind = "date" if _DATE.fullmatch(bare) else kind_of(bare)
        self.kinds.add(kind)
        self.distinct.add(text)
        self._count(text)
        if kind in ("integer", "number"):
            self.numbers.add(float(bare))
        elif kind == "date":
            self.least = bare if self.least is None else min(self.least, bare)
            self.greatest = bare if self.greatest is None else max(self.greatest, bare)
        length = len(text)
        self.shortest = length if self.shortest is None else min(self.shortest, length)
        self.longest = max(self.longest, length)

    def _count(self, text: str) -> None:
        if self.counts is None:
            return
        known = self.counts.get(text)
        if known is None and len(self.counts) == COUNTED_MAX:
            self.counts = None
        else:
            self.counts[text] = (known or 0) + 1

    @property
    def kind(self) -> str:
        """The type that fits every field."""
        return widest(self.kinds)

    def fences(self) -> tuple[float, float] | None:
        """Where outliers begin; None for what is no column of numbers."""
        if self.kind in ("integer", "number") and self._fences is None:
            _, low, _, high, _ = self.numbers.quantiles()
            reach = 1.5 * (high - low)
            self._fences = low - reach, high + reach
        return self._fences

    def compare(self, line: int, text: str) -> None:
        """Is this field an outlier? The ones farthest away are kept."""
        if self._fences is None:
            return
        value = float(text)
        low, high = self._fences
        if low <= value <= high:
            return
        self.outliers += 1
        self.farthest.append(Outlier(line=line, value=value))
        self.farthest.sort(key=lambda one: -max(low - one["value"], one["value"] - high))
        del self.farthest[OUTLIERS_SHOWN:]

    def report(self) -> Column:
        """The figures."""
        kind = self.kind
        numeric = kind in ("integer", "number")
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


def _number(value: float, kind: str) -> str:
    return str(int(value)) if kind == "integer" and abs(value) < 2**53 else repr(value)


class Distinct:
    """Counts different texts: exactly up to `kept`, by the least of their hashes beyond.

    Source: Z. Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._least: set[int] = set()
        self._bound = 1 << 64
        self.exact = True

    def add(self, text: str) -> None:
        """One text."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        if number >= self._bound:
            return
        self._least.add(number)
        if len(self._least) >= 2 * self._kept:
            self._prune()

    def _prune(self) -> None:
        kept = sorted(self._least)[: self._kept]
        self._least, self._bound, self.exact = set(kept), kept[-1] + 1, False

    def count(self) -> int:
        """How many different ones there were, or nearly."""
        if self.exact:
            return len(self._least)
        kept = sorted(self._least)[: self._kept]
        return round((self._kept - 1) / (kept[-1] / 2**64))


class Sample:
    """Mean and deviation of all numbers, and a fair sample of them for quantiles.

    Sources: J. Vitter, "Random Sampling with a Reservoir", 1985, algorithm R; B. Welford, "Note on a
    method for calculating corrected sums of squares and products", 1962.
    """

    def __init__(self, room: int) -> None:
        self._room, self._chance = room, Random(0)  # noqa: S311  (the same sample every time)
        self._kept: list[float] = []
        self.count = 0
        self.least, self.greatest = math.inf, -math.inf
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """One number."""
        self.count += 1
        self.least, self.greatest = min(self.least, value), max(self.greatest, value)
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)
        if len(self._kept) < self._room:
            self._kept.append(value)
        elif (at := self._chance.randrange(self.count)) < self._room:
            self._kept[at] = value

    @property
    def whole(self) -> bool:
        """Is every number in the sample?"""
        return self.count == len(self._kept)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a sample (n - 1); None of one number, or of numbers too large."""
        if self.count < 2 or not math.isfinite(self._squares):
            return None
        return math.sqrt(self._squares / (self.count - 1))

    def quantiles(self) -> list[float]:
        """0, 25, 50, 75 and 100 %, between neighbours linearly; zeros where there are no numbers."""
        kept = sorted(self._kept) or [0.0]
        found = []
        for share in (0.25, 0.5, 0.75):
            place = share * (len(kept) - 1)
            low = math.floor(place)
            high = min(low + 1, len(kept) - 1)
            found.append(kept[low] * (1 - place + low) + kept[high] * (place - low))
        return [self.least, *found, self.greatest] if self.count else [0.0] * 5
