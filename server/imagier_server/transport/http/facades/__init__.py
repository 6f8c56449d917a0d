# SPDX-License-Identifier: Apache-2.0
"""The APIs of other programs, one module each, so that what speaks to them can speak to us unchanged.

docs/contributing/add-a-facade.md says how to write one; `registry.BUILT_IN` lists it.
"""
