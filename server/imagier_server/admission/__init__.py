# SPDX-License-Identifier: Apache-2.0
"""Admission control, in stages, before any work is done. Keys, quotas and credits will be stages."""
