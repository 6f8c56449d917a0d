# SPDX-License-Identifier: Apache-2.0
"""The client's tasks, a module each: options, result, both their messages, and how people are shown the result."""
