# SPDX-License-Identifier: Apache-2.0
"""The fingerprint task in protobuf."""

from __future__ import annotations

from imagier.v1 import fingerprint_pb2

from imagier_server.tasks.fingerprint.values import Fingerprint, FingerprintOptions
from imagier_server.transport.codecs.codec import TaskCodec


def read(message: fingerprint_pb2.FingerprintOptions) -> FingerprintOptions:
    """The options as a value."""
    return FingerprintOptions(rotations=message.rotations)


def write(result: fingerprint_pb2.FingerprintResult, fingerprint: Fingerprint, size: tuple[int, int]) -> None:
    """Write the hashes into the message."""
    del size
    result.hash = fingerprint.hash
    result.quality = fingerprint.quality
    result.rotations.extend(fingerprint.rotations)


CODEC = TaskCodec("fingerprint", fingerprint_pb2.FingerprintOptions, fingerprint_pb2.FingerprintResult, read, write)
