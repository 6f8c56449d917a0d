# SPDX-License-Identifier: Apache-2.0
"""Keeps the embedded Triton alive: `liveness` detects dead and hanging models, `supervisor` restarts Triton."""
