# SPDX-License-Identifier: Apache-2.0
"""Documents of what the real models read, upright and turned: valid, in order, each word where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from imagier_client.cli import main
from lxml import etree
from PIL import Image
from support.real_server import ROOT, Server

SCHEMAS = ROOT / "tests/unit/imagier_client/documents/schemas"


@pytest.mark.parametrize("style", ["alto", "hocr"])
def test_a_sign_upright_and_turned(server: Server, tmp_path: Path, style: str) -> None:
    sign = samples.street_sign()
    sign.save(tmp_path / "upright.png")
    sign.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    assert main(["annotate", str(tmp_path), "--server", server.address, "--format", style]) == 0
    suffix = ".alto.xml" if style == "alto" else ".hocr"
    upright, turned = (etree.parse(tmp_path / f"{name}{suffix}") for name in ("upright", "turned"))
    if style == "alto":
        schema = etree.XMLSchema(etree.parse(SCHEMAS / "alto-4-3.xsd"))
        schema.assertValid(upright)
        schema.assertValid(turned)
        assert upright.xpath("//@CONTENT")[:3] == ["Rue", "des", "Lilas"]
        assert float(turned.xpath("//@ROTATION")[0]) == pytest.approx(90, abs=3)
    else:
        assert "".join(upright.xpath("(//*[@class='ocr_line'])[1]//text()")) == "Rue des Lilas"
        assert any("textangle 90" in title for title in turned.xpath("//@title"))
