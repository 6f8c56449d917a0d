# SPDX-License-Identifier: Apache-2.0
"""The error of a failed export."""


class ExportError(Exception):
    """The reason why a model was not installed, for the person at the terminal; the installed model is unchanged."""
