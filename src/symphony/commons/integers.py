"""The integers that every format, process and expression agrees on: those of 64 bits."""

from typing import Final

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1
