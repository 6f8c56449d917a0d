# SPDX-License-Identifier: Apache-2.0
"""The embedding task: pictures and texts as vectors of one space."""
