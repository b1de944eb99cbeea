"""Amounts as people write them."""

from __future__ import annotations

import pytest

from minidisc_plugin.contracts.amounts import bytes_in, macs_in, parameters_in


@pytest.mark.parametrize(
    ("written", "count"),
    [(12_000_000, 12_000_000), ("12000000", 12_000_000), ("10M", 10**7), ("0.3B", 3 * 10**8), ("1.5 k", 1500)],
)
def test_parameters(written: int | str, count: int) -> None:
    assert parameters_in(written) == count


@pytest.mark.parametrize(
    ("written", "count"),
    [("200M", 2 * 10**8), ("1.5G", 15 * 10**8), ("1.5 b", 15 * 10**8), ("2T", 2 * 10**12), ("7k", 7000), (9, 9)],
)
def test_multiply_accumulates(written: int | str, count: int) -> None:
    assert macs_in(written) == count


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (2000, 2000),
        ("2000", 2000),
        ("20MB", 20 * 10**6),
        ("20 mb", 20 * 10**6),
        ("20MiB", 20 * 2**20),
        ("1.5GB", 15 * 10**8),
    ],
)
def test_bytes(written: int | str, count: int) -> None:
    assert bytes_in(written) == count


@pytest.mark.parametrize("written", ["", "M", "10 million", "1e7", "10,000", "-1M", "inf", "٣"])
def test_what_is_no_number_of_parameters(written: str) -> None:
    with pytest.raises(ValueError, match="no number of parameters"):
        parameters_in(written)


@pytest.mark.parametrize("written", ["", "200MAC", "1e7", "-1M", "nan"])
def test_what_is_no_number_of_multiply_accumulates(written: str) -> None:
    with pytest.raises(ValueError, match="no number of multiply-accumulates"):
        macs_in(written)


@pytest.mark.parametrize("written", ["", "MB", "20 parsecs", "inf", "nan", "-1MB"])
def test_what_is_no_number_of_bytes(written: str) -> None:
    with pytest.raises(ValueError, match="no number of bytes"):
        bytes_in(written)
