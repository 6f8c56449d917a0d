# SPDX-License-Identifier: Apache-2.0
"""The table of errors is that of the code: each reason, its statuses, whether a retry may help, and what the client raises."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from imagier_client.errors import ImagierClientError
from imagier_server.errors import Code, Full, Quota
from imagier_server.transport.statuses import STATUSES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("errors_page", DOCS / "site/errors.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_the_one_that_the_script_makes(generator: ModuleType) -> None:
    assert (DOCS / "errors.md").read_text("utf-8") == generator.page(), "run `make errors`"


def test_it_has_every_limit_and_nearly_every_code(generator: ModuleType) -> None:
    page = generator.page()
    assert all(f"| `{limit.value}` |" in page for limit in (*Full, *Quota))
    missing = {code for code in Code if STATUSES[code].grpc not in page}
    assert missing <= {Code.NOT_FOUND, Code.UNPAID}


def test_the_client_raises_a_type_of_its_own_for_each(generator: ModuleType) -> None:
    rows = list(generator._rows())
    assert len(rows) >= 18
    assert not [reason for reason, *_, client in rows if client == ImagierClientError.__name__]
    for reason, _, grpc, _, retry, _ in rows:
        assert ("RetryInfo" in grpc) == (retry == "later"), reason
