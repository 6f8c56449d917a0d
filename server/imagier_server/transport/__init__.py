# SPDX-License-Identifier: Apache-2.0
"""Transports: each converts its messages to the gateway's values and back, and decides nothing."""
