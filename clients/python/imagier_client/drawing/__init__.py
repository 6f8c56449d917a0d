# SPDX-License-Identifier: Apache-2.0
"""Answers drawn onto copies of their pictures. Its modules need the packages of the extra `drawing`."""


class DrawingError(Exception):
    """The picture could not be drawn or the copy not be written."""
