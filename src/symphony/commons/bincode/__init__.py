"""Bincode, byte for byte as Rust's bincode 1.3 writes it by default, from Python's type hints.

`TypeCodec[T](T)` looks at `T` once and compiles an encoder and a decoder for it: make it once and keep it.
Pure: no I/O.

| type hint | on the wire |
|---|---|
| `bool` | one byte, 0 or 1 |
| `int`; `U8` … `U64`, `I8` … `I64` | little-endian, fixed width; a bare `int` has 64 bits and a sign |
| `float`, `F32`, `Finite` | IEEE 754, little-endian; `Finite` refuses infinities and NaN |
| `str`, `bytes` | length as u64, then the bytes |
| `UUID`, `UuidText` | as serde has it: length 16 as u64, then the 16 bytes |
| `Nanoseconds` | an int; seconds as u64 and nanoseconds as u32, as serde has SystemTime and Duration |
| `T | None` | one byte, 0 or 1, then `T` |
| `list[T]`, `tuple[T, ...]` | count as u64, then the elements |
| `tuple[A, B]`, dataclass, msgspec struct | the fields in order |
| `dict[str, T]`, `Mapping[str, T]` | count as u64, then pairs sorted by key (a BTreeMap) |
| `hints.Ordered[T]`, and `dict[str, Plain]` | count as u64, then pairs in their order (a Vec of pairs) |
| `Enum`, `Literal` | its index as u32 |
| `A | B` of dataclasses or structs | the index as u32, then the fields |
| `Plain` | u32 index among null, bool, i64, finite f64, text, bytes, list, map (ordered); then the value |

What is decoded is checked: lengths before anything is allocated, indices, UTF-8, the bytes of
booleans, that no key is a duplicate, how deep it nests, and that nothing follows. The pairs of a map
may come in any order, which is kept. Errors name the byte.
"""

from symphony.commons.bincode.codec import TypeCodec
from symphony.commons.bincode.hints import (
    F32,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Finite,
    Nanoseconds,
    Plain,
    UuidText,
)
from symphony.commons.bincode.wire import DEPTH_MAX, BincodeInvalid

__all__ = [
    "DEPTH_MAX",
    "F32",
    "I8",
    "I16",
    "I32",
    "I64",
    "U8",
    "U16",
    "U32",
    "U64",
    "BincodeInvalid",
    "Finite",
    "Nanoseconds",
    "Plain",
    "TypeCodec",
    "UuidText",
]
