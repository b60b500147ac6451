"""Everything that CEL has in Symphony: functions, macros, types and operators, each with an example.

The names are those that the CEL library declares, which a test verifies. Values only.
"""

from typing import Final, NamedTuple

from symphony.ports.values import Value


class CelEntry(NamedTuple):
    """One function, macro, type or operator. `example` gives `result`, as a workflow sees it."""

    name: str
    form: str
    meaning: str
    example: str
    result: Value


_NOON: Final = 'timestamp("2024-02-29T12:30:15.250Z")'

FUNCTIONS: Final = (
    CelEntry("bool", "bool(x)", "a boolean of a text: true, false, 1, 0, t, f", 'bool("true")', True),
    CelEntry("bytes", "bytes(text)", "the UTF-8 of a text", 'size(bytes("é"))', 2),
    CelEntry(
        "contains", "text.contains(part)", "is the part in the text?",
        '"workflow".contains("flow")', True,
    ),
    CelEntry("double", "double(x)", "a double of an integer or a text", 'double("1.5") + double(1)', 2.5),
    CelEntry(
        "duration", "duration(text)", "a length of time: h, m, s, ms, us, ns",
        'duration("1h30m")', "5400s",
    ),
    CelEntry("dyn", "dyn(x)", "the value, without what is known of its type", "dyn(1) == 1.0", True),
    CelEntry(
        "endsWith", "text.endsWith(part)", "does the text end with the part?",
        '"a.py".endsWith(".py")', True,
    ),
    CelEntry("getDate", "time.getDate(zone?)", "the day of the month, from 1", f"{_NOON}.getDate()", 29),
    CelEntry(
        "getDayOfMonth", "time.getDayOfMonth(zone?)", "the day of the month, from 0",
        f"{_NOON}.getDayOfMonth()", 28,
    ),
    CelEntry(
        "getDayOfWeek", "time.getDayOfWeek(zone?)", "the day of the week, Sunday being 0",
        f"{_NOON}.getDayOfWeek()", 4,
    ),
    CelEntry(
        "getDayOfYear", "time.getDayOfYear(zone?)", "the day of the year, from 0",
        f"{_NOON}.getDayOfYear()", 59,
    ),
    CelEntry("getFullYear", "time.getFullYear(zone?)", "the year", f"{_NOON}.getFullYear()", 2024),
    CelEntry(
        "getHours", "time.getHours(zone?)", "the hour of a timestamp; of a duration, all hours",
        f'{_NOON}.getHours("Europe/Berlin")', 13,
    ),
    CelEntry(
        "getMilliseconds", "time.getMilliseconds(zone?)", "the milliseconds within the second",
        f"{_NOON}.getMilliseconds()", 250,
    ),
    CelEntry(
        "getMinutes", "time.getMinutes(zone?)", "the minute of a timestamp; of a duration, all minutes",
        'duration("1h30m").getMinutes()', 90,
    ),
    CelEntry("getMonth", "time.getMonth(zone?)", "the month, January being 0", f"{_NOON}.getMonth()", 1),
    CelEntry(
        "getSeconds", "time.getSeconds(zone?)", "the second of a timestamp; of a duration, all seconds",
        f"{_NOON}.getSeconds()", 15,
    ),
    CelEntry(
        "int", "int(x)", "an integer of a text, a double (cut off) or a timestamp (seconds since 1970)",
        'int("7") + int(2.9)', 9,
    ),
    CelEntry(
        "matches", "text.matches(pattern), matches(text, pattern)",
        "is the pattern, in RE2's language, found in the text?", '"v1.20".matches("^v[0-9]+")', True,
    ),
    CelEntry(
        "size", "size(x), x.size()", "how many characters, bytes, elements or keys",
        'size("né") + [1, 2].size() + size({"a": 1})', 5,
    ),
    CelEntry(
        "startsWith", "text.startsWith(part)", "does the text begin with the part?",
        '"src/a".startsWith("src/")', True,
    ),
    CelEntry(
        "string", "string(x)", "a text of a number, boolean, bytes, timestamp or duration",
        'string(3) + string(true) + string(b"!")', "3true!",
    ),
    CelEntry(
        "timestamp", "timestamp(x)", "a moment, of RFC 3339 text or of seconds since 1970",
        'timestamp("2024-03-01T00:00:00Z") - duration("24h")', "2024-02-29T00:00:00Z",
    ),
    CelEntry("type", "type(x)", "the type of a value, to compare with a type", "type(1.5) == double", True),
    CelEntry("uint", "uint(x)", "an unsigned integer", 'uint("7")', 7),
)  # fmt: skip

MACROS: Final = (
    CelEntry("all", "list.all(x, test)", "does the test hold for all?", "[1, 2, 3].all(x, x > 0)", True),
    CelEntry("exists", "list.exists(x, test)", "does it hold for any?", "[1, 2, 3].exists(x, x > 2)", True),
    CelEntry(
        "exists_one", "list.exists_one(x, test)", "does it hold for exactly one?",
        "[1, 2, 3].exists_one(x, x > 2)", True,
    ),
    CelEntry(
        "filter", "list.filter(x, test)", "those for which it holds",
        "[1, 2, 3].filter(x, x != 2)", [1, 3],
    ),
    CelEntry("has", "has(map.field)", "is the field there?", '[{"a": 1}].map(r, has(r.b) ? r.b : 0)', [0]),
    CelEntry(
        "map", "list.map(x, value), list.map(x, test, value)",
        "a value for each; with a test, for each for which it holds",
        "[1, 2, 3].map(x, x > 1, x * 10)", [20, 30],
    ),
)  # fmt: skip

TYPES: Final = (
    CelEntry("bool", "true, false", "booleans", "type(true) == bool", True),
    CelEntry("bytes", 'b"…"', "bytes", 'type(b"a") == bytes', True),
    CelEntry("double", "1.5, 2e3", "numbers of 64 bits with decimals", "type(2e3) == double", True),
    CelEntry(
        "dyn", "", "not a type of values: any type, as far as the check knows",
        "dyn([1, 2]) == [1, 2]", True,
    ),
    CelEntry(
        "int", "7, -1, 0xff", "integers of 64 bits; they do not mix with doubles",
        "type(0xff) == int", True,
    ),
    CelEntry("list", "[1, 2]", "lists", "type([]) == list", True),
    CelEntry(
        "map", '{"a": 1}', "maps; those that leave an expression have texts as keys",
        "type({}) == map", True,
    ),
    CelEntry("null_type", "null", "nothing", "type(null) == null_type", True),
    CelEntry(
        "string", "\"…\", '…', r\"…\", \"\"\"…\"\"\"", "texts; r takes backslashes as they are",
        r'size(r"\n")', 2,
    ),
    CelEntry("type", "", "types themselves", "type(int) == type", True),
    CelEntry("uint", "7u", "integers without a sign, of 64 bits", "type(7u) == uint", True),
)  # fmt: skip

OPERATORS: Final = (
    CelEntry("? :", "test ? a : b", "one of two values", '2 > 1 ? "yes" : "no"', "yes"),
    CelEntry("||", "a || b", "or", "false || true", True),
    CelEntry("&&", "a && b", "and", "true && 1 < 2", True),
    CelEntry("!", "!a", "not", "!false", True),
    CelEntry("==, !=", "a == b", "equal; lists and maps by what they hold", '{"a": [1]} == {"a": [1]}', True),
    CelEntry("<, <=, >, >=", "a < b", "compare numbers, texts, bytes, booleans or times", '"a" < "b"', True),
    CelEntry("in", "a in b", "is it in a list, or a key of a map?", '"a" in {"a": 1}', True),
    CelEntry("+", "a + b", "add numbers or times; join texts, bytes or lists", "[1] + [2, 3]", [1, 2, 3]),
    CelEntry("-", "a - b, -a", "subtract numbers or times", "1 - -2", 3),
    CelEntry("*", "a * b", "multiply", "6 * 7", 42),
    CelEntry("/", "a / b", "divide; integers are cut off towards zero", "-7 / 2", -3),
    CelEntry("%", "a % b", "the remainder, of integers alone", "7 % 4", 3),
    CelEntry(
        "[ ]", "a[b]", "an element of a list, from 0, or the value of a key",
        '[[1, 2]][0][1] + {"a": 1}["a"]', 3,
    ),
    CelEntry(".", "a.b", "the value of a key", '{"a": {"b": 1}}.a.b', 1),
)  # fmt: skip

CALLABLE: Final = frozenset(entry.name for entry in (*FUNCTIONS, *MACROS))
"""Everything that can be called."""
