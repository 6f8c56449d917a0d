# SPDX-License-Identifier: Apache-2.0
"""The doors: each turns its messages into the gateway's values and back, and decides nothing."""
