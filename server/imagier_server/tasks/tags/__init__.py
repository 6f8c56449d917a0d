# SPDX-License-Identifier: Apache-2.0
"""The tags task, and the matching of a library's keywords with tags."""
