# SPDX-License-Identifier: Apache-2.0
"""What the façade of Immich's machine learning is made of.

``entries`` reads what is asked for, ``ours`` answers what we serve, ``upstream`` has the rest answered by a native Immich.
"""
