# SPDX-License-Identifier: Apache-2.0
"""Answers as documents for libraries: ALTO 4 and hOCR."""

from imagier_client.documents.alto import to_alto
from imagier_client.documents.hocr import to_hocr

__all__ = ["to_alto", "to_hocr"]
