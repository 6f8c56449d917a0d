# SPDX-License-Identifier: Apache-2.0
"""The brightness task, for Imagier's server (`server`) and its client (`client`)."""
