# SPDX-License-Identifier: Apache-2.0
"""Bytes → upright RGB pixels: `formats` sniffs in the gateway, `decoder` decodes in a worker process, `pool` keeps the workers."""
