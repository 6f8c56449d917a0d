# SPDX-License-Identifier: Apache-2.0
"""The engines of one gateway: where they are (`addresses`), which one is next (`balancer`), whether to try again (`budget`).

`pool` is what the rest of the gateway sees: one engine that does not fail while any of them works.
"""
