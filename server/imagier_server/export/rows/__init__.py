# SPDX-License-Identifier: Apache-2.0
"""The models of each task: one file a task, listed in `catalogue`."""
