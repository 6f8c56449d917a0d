# SPDX-License-Identifier: Apache-2.0
"""What the dialects of language models have in common: a model's name or a JSON schema says which tasks answer, and in what form.

The prompt is neither interpreted nor kept. Pure: bodies are read and written by the façades.
"""
