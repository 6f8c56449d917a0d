# SPDX-License-Identifier: Apache-2.0
"""The caption task: sentences that describe a picture, and a title."""
