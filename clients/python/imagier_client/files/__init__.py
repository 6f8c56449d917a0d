# SPDX-License-Identifier: Apache-2.0
"""Files that a run reads and writes: which are pictures, and which names are free for results."""
