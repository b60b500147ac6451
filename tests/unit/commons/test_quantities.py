"""Durations and sizes as people write them."""

import pytest

from symphony.commons.quantities import size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0B", 0), ("10GB", 10**10), ("1.5 MiB", 1_572_864), ("1kib", 1024), ("2 TB", 2 * 10**12)],
)
def test_sizes_have_decimal_and_binary_units(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "10", "GB", "-1GB", "1e3MB", "1 PB", "1.2345GB", "٣GB", "10GB\n"])
def test_another_text_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size_bytes(text)
