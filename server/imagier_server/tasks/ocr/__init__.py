# SPDX-License-Identifier: Apache-2.0
"""The OCR task: finds and reads lines of text."""
