# SPDX-License-Identifier: Apache-2.0
"""Tickets: a picture is taken in at once, read in the bulk lane, and its result collected later."""
