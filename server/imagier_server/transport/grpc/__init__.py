# SPDX-License-Identifier: Apache-2.0
"""The gRPC door: server, service, and how messages arrive."""
