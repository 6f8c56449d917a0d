# SPDX-License-Identifier: Apache-2.0
"""The tasks: one folder each, all with the same anatomy (`task.py`), listed in `registry.py`."""
