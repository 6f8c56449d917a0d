# SPDX-License-Identifier: Apache-2.0
"""The engines of one gateway: name resolution (`addresses`), load balancing (`balancer`), retry budget (`budget`).

The rest of the gateway sees `pool`: one engine that works as long as any of them does.
"""
