# SPDX-License-Identifier: Apache-2.0
"""The gateway. A request passes these modules in order:

``transport`` (message → value) → ``pipeline`` → ``admission`` (admit or refuse) → ``decode`` (bytes → upright RGB)
→ all ``tasks`` concurrently (``prepare`` → ``triton`` → ``finish``) → ``transport`` (value → message).

``call`` holds caller and deadline, and is passed along all the way. ``streams`` feeds the pipeline many pictures, ``recording``
records how each ended. Words without a picture go through ``keyword_matching``. ``catalogue`` describes the server.

``app`` assembles them, ``commands`` starts them, ``settings`` declares all settings, ``embedded`` runs the wheel's Triton, and
``export`` fills the model repository. ``doctor`` reports what a machine lacks.

Importing it has one effect: it disables the telemetry of dependencies.
"""

from imagier_server.no_telemetry import switch_off

switch_off()
