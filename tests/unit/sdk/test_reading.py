"""Operators read from the text of a file are those that running the file defines."""

import contextlib
import re
import sys
import time
from pathlib import Path
from random import Random

import msgspec
import pytest

from symphony import kit
from symphony.commons.errors import SymphonyError
from symphony.kit.homes import HOMES
from symphony.sdk import Operator, load_operators
from symphony.sdk.errors import OperatorInvalid
from symphony.sdk.reading.module import OperatorsRead, read_operators
from symphony.workflow.types import ANY

BEGIN = "from symphony import operator\n"

READABLE = {
    "plain": '''
from symphony import operator

@operator("mine.shout", version="1.0.0", pure=True)
def shout(text: str, times: int = 2) -> str:
    """Say it louder.

    And again.

    Args:
        text: what to say
        times: how often
    Returns:
        what was said
    """
    return text.upper() * times
''',
    "several, under other names, async, with effects": """
import symphony as s
from symphony.sdk import operator as op, Context as Ctx, Embedding, Json, Artifact
import symphony.sdk
import symphony.sdk.operators as deep

@s.operator("a.one", version="1.0.0", read=True)
async def one(x: int, ctx: Ctx) -> Json: ...

@op("a.two", version="2.1.0-rc.1", idempotent=True, output="vector")
async def two(*, x: "Embedding", body: Artifact = "x") -> Embedding: ...

@symphony.sdk.operator(name="a.three", version="1.0.0", cpu=True, pure=True)
def three(x: float = 1, y: float | None = None, z: bool = False) -> None: ...

@deep.operator("a.four", version="1.0.0", reads=lambda inputs, context: "x")
def four(ctx: "Ctx | None", x: bytes = b"x") -> object: ...

@op("a.five", version="1.0.0", pure=True, memory_mb=512)
async def five(x: int) -> int: return x
""",
    "typing": """
import collections.abc, typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Tuple, TypeAlias, Union
from symphony import operator
from symphony.ports.values import Value
from symphony.workflow.types import PortType, parse_type

Name = NewType("Name", str)
Names: TypeAlias = "list[Name]"
Row = Dict[str, Value]
Kind = Literal["a", "b"]
Place = Annotated[str, PortType("path")]

@operator("a.b", version="1.0.0")
def f(
    a: Optional[str], b: List[int], c: Union[int, float], d: t.Sequence[Path], e: Tuple[int, ...],
    f: Mapping[str, list[bool]], g: Kind, h: Literal["x", None], i: Name, j: Names, k: Row,
    l: Annotated[int, "a note"], m: Place, n: Any, o: Value, p: collections.abc.Iterable[PurePath],
    q: tuple[int, str], r: dict, s: list, t_: "str | None" = None, u: Place | None = None,
    v: Annotated[str, parse_type("list[path]")] = (), w: str | bytes = "x", x: Iterable[Kind] = ("a",),
) -> "Optional[Kind]": ...
""",
    "languages": """
from typing import Annotated
from symphony import operator
from symphony.sdk import Cel, JmesPath, Regex, Template as Text
import symphony.sdk.languages as languages

NAMES = ("row", "limit")
Where = Annotated[str, Cel(*NAMES, gives=bool)]

@operator("a.b", version="1.0.0")
def f(
    a: Where, b: list[Annotated[str, Regex()]], c: dict[str, Annotated[str, JmesPath()]],
    d: Annotated[str, Text("data", "*data")] | None = None, e: Annotated[str, languages.Cel()] = "1",
) -> str: ...
""",
    "postponed": """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from symphony import Context, operator
if TYPE_CHECKING:
    from nowhere import Something

Alias = list["int"] if False else list[int]

@dataclass
class Out:
    first: Alias
    second: Inner
    third: list[Out] | None

class Inner(TypedDict):
    x: int

@operator("a.b", version="1.0.0")
def f(a: Alias, b: str | None, c: Inner, context: Context, d: list[Inner] = ()) -> Out: ...
""",
    "records": """
import dataclasses, msgspec, typing
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar, Generic, NamedTuple, NotRequired, Required, TypedDict, TypeVar
from symphony import operator
T = TypeVar("T")

class Small(TypedDict, total=False):
    a: Required[int]
    b: NotRequired[str | None]

class Large(Small):
    c: "list[Small]"

@dataclass
class Base:
    x: float
    count: ClassVar[int] = 3
    given: InitVar[int] = 4
    _: KW_ONLY
    y: "Base | None" = None

@dataclasses.dataclass
class More(Base):
    x: int = 0
    z: list[float] = field(default_factory=list)

class NotMarked(Base):
    ignored: int = 0
    x: int = 0

class Row(NamedTuple):
    key: str
    size: int = 0

class Wide(Row):
    also_ignored: int = 1

class Box(msgspec.Struct, frozen=True):
    left: str
    limit: ClassVar[int] = 5

class Crate(Box, tag="crate"):
    right: "dict[str, Row]" = {}

class Plain(Generic[T]):
    LIMIT = 7
    KINDS = ("a", "b")

Made = TypedDict("Made", {"p": int, "q": list[str]})
Tup = NamedTuple("Tup", [("m", int), ("n", str)])

@operator("r.large", version="1.0.0")
def large(a: Small, b: list[Large], c: Made, d: Row | None = None) -> Large: ...
@operator("r.more", version="1.0.0")
def more(a: Base, limit: int = Plain.LIMIT, kinds: list[str] = Plain.KINDS) -> More: ...
@operator("r.not", version="1.0.0")
def not_marked() -> NotMarked: ...
@operator("r.row", version="1.0.0")
def row() -> Row: ...
@operator("r.wide", version="1.0.0")
def wide() -> Wide: ...
@operator("r.crate", version="1.0.0")
def crate(a: Crate, b: dict[str, Box]) -> Crate: ...
@operator("r.made", version="1.0.0")
def made() -> Made: ...
@operator("r.tup", version="1.0.0")
def tup() -> Tup: ...
""",
    "constants and defaults": """
import sys
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from symphony import operator
from symphony.sdk import Bounds

PREFIX = "const"
NAME, VERSION = f"{PREFIX}.first", "1." + "2.3"
OPTIONS = {"version": VERSION, "pure": True}
LIMIT: int = 60 * 60 * 24 + (1 << 10) - 2**3
DEFAULTS = ("a", "b")

class Level(Enum):
    LOW = "low"
    HIGH = "high"

class Number(IntEnum):
    ONE = 1

class Word(str, Enum):
    YES = "yes"

@operator(NAME, **OPTIONS)
def first(
    root: Path = Path("."), limit: int = LIMIT, low: str = Level.LOW, one: int = Number.ONE.value,
    word: str = Word.YES, names: list[str] = [*DEFAULTS, "c"], table: dict[str, int] = {"a": -1},
    ratio: float = 1 / 4, flag: bool = not True, chosen: str = DEFAULTS[1], kinds: list[str] = list(DEFAULTS),
    more: list[int] = [1, *[2, 3]], empty: dict[str, str] = dict(),
) -> str: ...

if sys.version_info >= (3, 8) and sys.platform != "nonsense":
    @operator(PREFIX + ".second", version=VERSION, bounds=Bounds(heavy=lambda inputs: False))
    def second(x: int) -> str: ...
else:
    @operator("const.never", version=VERSION)
    def never(x: int) -> str: ...

if __name__ == "__main__":
    raise SystemExit(second(1))
""",
    "by calls": '''
import functools
from symphony import operator

pure = functools.partial(operator, version="1.0.0", pure=True)

def named(name, *, version="2.0.0"):
    """A decorator of one's own."""
    full = "call." + name
    return operator(full, version=version)

def adder(n: int):
    @operator(f"call.add-{n}", version="1.0.0")
    def add(x: int, by: int = n) -> int:
        """Add."""
        return x + by
    return add

@pure("call.first")
def first(x: int) -> int: ...

@named("second")
def second(x: str) -> str: ...

def _third(x: bytes) -> bytes: ...
third = operator("call.third", version="1.0.0", output="bytes")(_third)
again = third
one, two = adder(1), adder(2)
for number in (7, 8):
    globals()[f"add_{number}"] = adder(number)
for name in ("a", "b"):
    @named(name)
    def last(x: str) -> str: ...
''',
    "imports that may fail, and other statements": """
import contextlib, logging, warnings
from symphony import *
try:
    from typing import Literal
except ImportError:
    from typing_extensions import Literal
try:
    import nothing_such
except ImportError:
    nothing_such = None
log = logging.getLogger(__name__)
with warnings.catch_warnings():
    @operator("s.one", version="1.0.0")
    def one(x: Literal["a"] = "a", context: Context = None) -> "Embedding": ...
assert log
for i in range(3):
    last = i
while False:
    pass
@contextlib.contextmanager
def around():
    yield
class Shape:
    @property
    def area(self): return 1
    def method(self, x): return lambda: x
del i
""",
    "with a mark, an encoding and names beyond ASCII": (
        "\ufeff# -*- coding: utf-8 -*-\n" + BEGIN + '@operator("gr.x", version="1.0.0")\n'
        "def f(x: str = 'ä') -> str:\n    '''Größe.'''\n"
    ),
}


def read(folder: Path, text: str | bytes) -> OperatorsRead:
    file = folder / "ops.py"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_operators(file, file.read_bytes())


def loaded(folder: Path) -> dict[str, Operator]:
    return {one.info.name: one for one in load_operators(folder / "ops.py")}


@pytest.mark.parametrize("case", READABLE)
def test_what_the_text_tells_is_what_running_it_tells(tmp_path: Path, case: str) -> None:
    found = read(tmp_path, READABLE[case])
    run = loaded(tmp_path)
    assert list(found.operators) == list(run)
    assert msgspec.to_builtins(found.infos) == msgspec.to_builtins({n: one.info for n, one in run.items()})
    for name, one in found.operators.items():
        assert (one.style, one.context_name) == (run[name].style, run[name].context_name)
        assert one.reads == (run[name].reads is not None)
        assert one.exact
    assert not found.partial


INVALID = {
    "no annotation": "def f(x): ...",
    "no result": "def f(x: int): ...",
    "a set": "def f(x: set[str]) -> str: ...",
    "keys that are no text": "def f(x: dict[int, str]) -> str: ...",
    "keys alone": "def f(x: dict[str, ]) -> str: ...",
    "stars": "def f(*x: str) -> str: ...",
    "more stars": "def f(**x: str) -> str: ...",
    "positional": "def f(x: str, /) -> str: ...",
    "a default of another type": "def f(x: int = 'x') -> str: ...",
    "null": "def f(x: int = None) -> str: ...",
    "a generator": "def f(x: int) -> str:\n    yield x",
    "numbers to choose from": "from typing import Literal\ndef f(x: Literal[1]) -> str: ...",
    "a class": "class Own: ...\n@op\ndef f(x: Own) -> str: ...",
    "an enumeration": "import enum\nclass E(enum.Enum):\n    A = 'a'\n@op\ndef f(x: E) -> str: ...",
    "a text inside": "def f(x: list['int']) -> str: ...",
    "no fields": "from typing import TypedDict\nclass T(TypedDict): ...\n@op\ndef f(x: int) -> T: ...",
    "a field that is no port": "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: set[int]\n"
    "@op\ndef f(x: int) -> D: ...",
    "a letter": "def f(größe: int) -> str: ...",
}


@pytest.mark.parametrize("case", INVALID)
def test_a_function_that_does_not_suit_is_refused_in_the_same_words(tmp_path: Path, case: str) -> None:
    text = INVALID[case]
    if "@op\n" not in text:
        text = text.replace("def f", "@op\ndef f")
    text = BEGIN + "op = operator('a.b', version='1.0.0')\n" + text
    with pytest.raises(SymphonyError) as told:
        read(tmp_path, text)
    with pytest.raises(SymphonyError) as raised:
        loaded(tmp_path)
    assert (told.value.code, told.value.message, told.value.hint) == (
        raised.value.code, raised.value.message, raised.value.hint,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "x = 1", "from symphony.kit.text import join",
        BEGIN + "@operator('a b', version='1.0.0')\ndef f() -> str: ...",
        BEGIN + "@operator('a.b', version='1.0')\ndef f() -> str: ...",
        BEGIN + "@operator('a.b', version='1.0.0', pure=True, read=True)\ndef f() -> str: ...",
        BEGIN + "@operator('a.b', version='1.0.0', cpu=True)\nasync def f() -> str: ...",
        BEGIN + "@operator('a.b', version='1.0.0', inline=True)\ndef f() -> str: ...",
        BEGIN + "@operator('a.b', version='1.0.0', output='a b')\ndef f() -> str: ...",
        BEGIN + "".join(f"@operator('a.b', version='1.0.0')\ndef {n}() -> str: ...\n" for n in "fg"),
        "x = 1\ndef f(:\n", "\0", "x = (" * 3000, b"\xff\xfe", b"# coding: nonsense\n", "\ufeff\ufeffx = 1",
        b"# coding: latin-1\n'\xff'\n", "(" * 100_000, "x = " + "-" * 200_000 + "1", "0" * 5000 + "1",
        "a." * 99_999, "R = " + " | ".join(["int"] * 20_000),
        *(["x = a" + ".b" * 5_000] if sys.version_info < (3, 12) else []),  # later ones can compile it
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_loaded_is_refused_in_the_same_words(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(SymphonyError) as told:
        read(tmp_path, text)
    with pytest.raises(SymphonyError) as raised:
        loaded(tmp_path)
    assert (told.value.code, told.value.message) == (raised.value.code, raised.value.message)


LOOSE = """
import json
from functools import lru_cache, wraps
from elsewhere import Row, Rows, MyContext, mark, LIMIT, T
import other
from symphony import operator
from symphony.workflow.types import PortType
from typing import Annotated, Literal
from dataclasses import dataclass

@dataclass
class Mixed:
    known: str
    row: Row

@operator("l.one", version="1.0.0", pure=T)
def one(
    a: Row, b: list[Row], c: dict[str, Row], d: Row | None, e: Annotated[str, other.note], f: other.T[int],
    context: MyContext, h: Literal[other.A], j: str, i: int = LIMIT,
    k: Annotated[Row, PortType("path")] = "x",
) -> Mixed: ...

@operator("l.two", version="1.0.0")
@mark
def two(a: str) -> Rows: ...
"""


def test_what_cannot_be_read_is_any(tmp_path: Path) -> None:
    found = read(tmp_path, LOOSE)
    assert not any(one.exact for one in found.operators.values())
    assert not found.partial
    one, two = found.infos["l.one"], found.infos["l.two"]
    assert {name: str(port.type) for name, port in one.inputs.items()} == {
        "a": "any", "b": "list[any]", "c": "map[any]", "d": "any", "e": "any", "f": "any", "h": "any",
        "j": "string", "i": "integer", "k": "path",
    }  # fmt: skip
    assert one.inputs["i"].default is None
    assert one.inputs["a"].default is msgspec.UNSET
    assert {name: str(port.type) for name, port in one.outputs.items()} == {"known": "string", "row": "any"}
    assert one.effect == "write"
    assert two.outputs["result"].type == ANY


@pytest.mark.parametrize(
    "text",
    [
        "import names\n@operator(names.FIRST, version='1.0.0')\ndef f() -> str: ...",
        "import names\nfor name in names.ALL:\n    globals()[name] = operator(name, version='1.0.0')(f)",
        "import other\nf = other.wrap(operator('a.b', version='1.0.0'))",
        "import other\n@other.wrap\n@operator('a.b', version='1.0.0')\ndef f() -> str: ...",
        "import other\nf = operator('a.b', version='1.0.0')(other.f)",
        "class A: ...\nA.f = operator('a.b', version='1.0.0')(lambda: 1)",
        "exec('f = 1', {'op': operator})",
        "import os\nif os.environ.get('X'):\n    @operator('a.b', version='1.0.0')\n    def f() -> str: ...",
        "while True:\n    f = operator('a.b', version='1.0.0')(g)\n    break",
    ],
)
def test_a_file_whose_operators_only_running_it_would_tell_says_so(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, BEGIN + text).partial


TYPES = "from typing import *\n"
HOSTILE = {
    "doubling types": TYPES + "A0 = tuple[int, int]\n"
    + "".join(f"A{n + 1} = tuple[A{n}, A{n}]\n" for n in range(300)) + "R = A300",
    "doubling unions": TYPES + "A0 = List[int]\n"
    + "".join(f"A{n + 1} = Dict[A{n}, Union[A{n}, List[A{n}]]]\n" for n in range(300)) + "R = A300",
    "doubling lists": "A0 = [1]\n" + "".join(f"A{n + 1} = [A{n}, A{n}]\n" for n in range(300)) + "R = str",
    "doubling texts": "A = 'xxxxxxxxxx'\n" + "A = A + A\n" * 100 + "R = str",
    "powers": "A = 2\n" + "A = A ** A\n" * 100 + "B = 1 << 10**9\nC = 'x' * 10**10\nD = 10**10**10\nR = str",
    "a long union": TYPES + "R = " + " | ".join(["int"] * 300),
    "a wide union": TYPES + "R = Union[" + ", ".join(f"List[Literal['{n}']]" for n in range(5_000)) + "]",
    "a wide choice": TYPES + "R = Literal[" + ", ".join(f"'{n}'" for n in range(10_000)) + "]",
    "functions that call each other": "def f(n): return g(n) + g(n) + operator\n"
    "def g(n): return f(n) + f(n)\nx = f(1)\nR = str",
    "loops in loops": "L = [" + "1," * 3_000 + "]\n"
    "for a in L:\n for b in L:\n  for c in L:\n   x = a\nR = str",
    "many statements": "x = 1\n" * 50_000 + "R = str",
    "deep lists": "x = " + "[" * 90 + "]" * 90 + "\nR = str",
    "a long chain": "R = str\nx = a" + ".b" * 300,
    "many enumerations": "import enum\nclass E(enum.Enum):\n"
    + "".join(f"    A{n} = {n}\n" for n in range(3_000)) + "R = str",
    "odd port types": "from typing import Annotated\nfrom symphony.workflow.types import PortType\n"
    "R = Annotated[str, PortType('nonsense', item=5)]",
    "a class that is itself": "class R(R): ...\nR = str",
    "a field of its own": "from typing import *\nclass R(TypedDict):\n    x: 'R'\n",
    "odd names": "import enum\nclass E(enum.Enum):\n    mro = 'a'\n    _x = 1\n    __y__ = 2\nR = str",
    "odd arguments": "@operator(**{'name': 'a.c', 'version': '1.0.0', 'x': 1})\ndef g(): ...\nR = str",
    "odd lines": "f'{1:{2}}{3!r}'\nx: int\n(y := 3)\nz = *[1], 2\na, *b = 1, 2\n"
    "match z:\n  case 1: pass\nR = str",
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_read_in_no_time(tmp_path: Path, case: str) -> None:
    began_s = time.process_time()
    end = "\n@operator('a.b', version='1.0.0')\ndef last(x: str = '') -> R: ...\n"
    found: OperatorsRead | None = None
    try:
        found = read(tmp_path, BEGIN + HOSTILE[case] + end)
    except OperatorInvalid as refused:  # a type that no port has; not every Python gets so far
        assert len(refused.message) < 2_000
    assert time.process_time() - began_s < 10
    if found is None:
        return
    assert set(found.operators) <= {"a.b"}
    assert found.operators or found.partial


def test_nothing_of_the_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"""
import pathlib
from pathlib import Path
from typing import Annotated, NewType
pathlib.Path({str(mark)!r}).write_text("1")
Path({str(mark)!r}).touch()
open({str(mark)!r}, "w")
__import__("os").mkdir({str(mark)!r})
class Meta(type):
    def __new__(cls, *args): open({str(mark)!r}, "w")
class A(metaclass=Meta): ...
class B(A):
    def __class_getitem__(cls, item): open({str(mark)!r}, "w")
    def __init_subclass__(cls): open({str(mark)!r}, "w")
    def __or__(self, other): open({str(mark)!r}, "w")
class C(B): ...
def default(): open({str(mark)!r}, "w"); return operator("a.c", version="1.0.0")(1)
@operator("a.b", version="1.0.0")
def f(a: B[int], b: B | None = B() | 1, c: "open({str(mark)!r}, 'w')" = default(),
      d: NewType("X", B)("y") = 1, e: Annotated[str, open({str(mark)!r}, "w")] = "",
      f: str = f"{{open({str(mark)!r}, 'w')}}") -> "C": ...
"""
    found = read(tmp_path, BEGIN + text)
    assert list(found.operators) == ["a.b"]
    assert not mark.exists()


_ODD = (
    "None", "...", "()", "[]", "*", "lambda: 1", "operator", "Literal", "Annotated", "Union", "NewType",
    "int | 'a b('", "f'{(2**255)**256}'", "dict[str, ]", "yield", "1j", "x := 1", "{**a}",
    "partial(operator)", "PortType('x')", "@",
    "class", "def f(): return operator", "-1", "b''", "globals()['x']", "a[1:2]", "list['int']", "if True:",
)  # fmt: skip


def _changed(random: Random, text: str) -> str:
    """A text with a few words lost, repeated or replaced."""
    lines = text.split("\n")
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(lines))
        words = re.findall(r"\w+|\s+|[^\w\s]", lines[at]) or [""]
        other = (
            random.choice(_ODD)
            if random.random() < 0.6
            else random.choice(random.choice(lines).split() or [""])
        )
        words[random.randrange(len(words))] = other if random.random() < 0.9 else ""
        lines[at] = "".join(words)
        if random.random() < 0.2:
            lines.insert(at, random.choice(lines))
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_stands_in_a_file_it_is_read_or_refused(seed: int) -> None:
    random = Random(seed)
    texts = [*READABLE.values(), LOOSE]
    for _ in range(25):
        with contextlib.suppress(SymphonyError):
            read_operators(Path("ops.py"), _changed(random, random.choice(texts)).encode())


@pytest.mark.parametrize("home", HOMES)
def test_the_operators_of_the_kit_are_read_as_they_are(home: str) -> None:
    file = Path(kit.__file__).parent / f"{home}.py"
    found, real = read_operators(file, file.read_bytes()), kit.operators()
    assert not found.partial
    assert set(found.operators) == set(HOMES[home])
    for name, one in found.operators.items():
        known = real[name]
        assert (one.style, one.context_name) == (known.style, known.context_name)
        told, is_ = msgspec.to_builtins(one.info), msgspec.to_builtins(known.info)
        if not one.exact:  # types of other modules: only what these ports take is not known
            for side in ("inputs", "outputs"):
                for port in (*told[side].values(), *is_[side].values()):
                    port.pop("type")
        assert told == is_
