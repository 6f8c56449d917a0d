# SPDX-License-Identifier: Apache-2.0
"""Protobuf codecs of the tasks' options and results: one file per task, found through `registry`."""
