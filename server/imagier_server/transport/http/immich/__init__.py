# SPDX-License-Identifier: Apache-2.0
"""What the façade of Immich's machine learning is made of.

``entries`` reads what is asked for, ``ours`` answers what we serve (``ocr``, ``clip``), ``upstream`` relays the rest.
"""
