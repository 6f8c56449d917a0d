# SPDX-License-Identifier: Apache-2.0
"""Python client of Imagier: async client, blocking facade and the command `imagier`."""

__version__ = "0.1.0"
