# SPDX-License-Identifier: Apache-2.0
"""The fingerprint task: a perceptual hash, by which copies of a picture are found."""
