# SPDX-License-Identifier: Apache-2.0
"""The gateway. A request goes through these modules, in this order:

``transport`` (message → value) → ``pipeline`` → ``admission`` (refuse at the door) → ``decode`` (bytes → upright RGB)
→ each of ``tasks`` beside the others (``prepare`` → ``triton`` → ``finish``) → ``transport`` (value → message).

``app`` puts them together, ``commands`` starts them, ``settings`` holds every knob, ``embedded`` runs the Triton of the wheel and
``export`` fills the model repository.
"""
