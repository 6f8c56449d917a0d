# SPDX-License-Identifier: Apache-2.0
"""The one way in which an export fails."""


class ExportError(Exception):
    """No model was installed, and why. Its text is for the person at the terminal; what was installed before is as it was."""
