# SPDX-License-Identifier: Apache-2.0
"""The door: what may come in is decided here, before any work is done. Limits now; keys and credits belong here too."""
