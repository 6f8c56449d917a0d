# SPDX-License-Identifier: Apache-2.0
"""The HTTP door: one ASGI app on uvicorn in the gateway's event loop, beside gRPC.

``server`` listens, ``app`` routes, ``door`` is what every route has. ``v1`` is for people, ``facades`` holds other programs' APIs.
"""
