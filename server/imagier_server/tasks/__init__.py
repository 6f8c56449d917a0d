# SPDX-License-Identifier: Apache-2.0
"""The tasks: one file each, all with the same anatomy (`task.py`), listed in `registry.py`."""
