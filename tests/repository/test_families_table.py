"""docs/families.md says what is declared and tested."""

from __future__ import annotations

import pytest
import transformers

from minidisc_plugin.nested.families import FAMILIES
from tests.builders.zoo import EXPORTED
from tests.repository.families_table import FILE, table


@pytest.mark.skipif(transformers.__version__ >= "5", reason="the file is made on the inc stack")
def test_the_table_is_not_stale() -> None:
    remedy = "run: python -m tests.repository.families_table > docs/families.md"
    assert FILE.read_text(encoding="utf-8") == table(), remedy


def test_every_family_is_in_the_zoo() -> None:
    assert set(EXPORTED) == {family.model_type for family in FAMILIES}
