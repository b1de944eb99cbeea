"""The paper's records, for these tests."""

from tests.builders.published import make_results, make_schedule

__all__ = ["make_results", "make_schedule"]
