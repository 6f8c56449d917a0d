# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/tags_quality.py --pictures DIR`: do our tags equal the source's, and is the preprocessing the right one?

Ours is the server's own path: decoder, centre crop, exported graph. The source is PyTorch with the published weights, once on the
pixels that ours prepared and once behind a preprocessing written apart from ours. DIR holds pictures named
`<WordNet id>_<label>.jpg`; without it, scikit-image's photographs are compared and no accuracy is given.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.fetch import fetch
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.tasks.tags.task import TagsTask
from PIL import Image
from tags_scores import centre, decoded

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "benchmarks" / "results" / "tags_quality.json"


def source_scores(network: torch.nn.Module, pixels: np.ndarray) -> np.ndarray:
    """PyTorch's probabilities (1000,) of pixels (260, 260, 3)."""
    batch = torch.from_numpy((pixels.astype(np.float32) - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return network(batch).softmax(-1)[0].numpy()


def source_pixels(file: bytes) -> np.ndarray:
    """Shorter side 297, bicubic, centre 260: (260, 260, 3)."""
    with Image.open(io.BytesIO(file)) as opened:
        picture = opened.convert("RGB")
    shorter = min(picture.size)
    picture = picture.resize(
        (round(picture.width * 297 / shorter), round(picture.height * 297 / shorter)), Image.Resampling.BICUBIC
    )
    left, top = (picture.width - 260) // 2, (picture.height - 260) // 2
    return np.asarray(picture.crop((left, top, left + 260, top + 260)))


def photographs() -> dict[str, bytes]:
    """scikit-image's, as PNG files."""
    from skimage import data

    files: dict[str, bytes] = {}
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(file, "PNG")
        files[name] = file.getvalue()
    return files


def best(scores: np.ndarray) -> list[int]:
    """The five best classes, best first."""
    return np.argsort(-scores, kind="stable")[:5].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="labelled pictures")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    arguments = parser.parse_args()
    files = (
        {path.name: path.read_bytes() for path in sorted(arguments.pictures.glob("*.jpg"))}
        if arguments.pictures
        else photographs()
    )

    task = TagsTask.load(arguments.repository)
    session = onnxruntime.InferenceSession(
        arguments.repository / "tagger" / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    network = EfficientNet.from_name("efficientnet-lite2")
    weights = fetch(CATALOGUE["tagger"].source, arguments.repository)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    torch.set_num_threads(1)  # its idle threads would spin on the cores that the other session needs

    rows = []
    for name, file in files.items():
        pixels = centre(decoded(file, task))
        ours = session.run(None, {"pixels": pixels})[0][0]
        same_pixels = source_scores(network, pixels[0])
        own_pixels = source_scores(network, source_pixels(file))
        label = task.vocabulary.index[name.split("_")[0]] if arguments.pictures else -1
        rows.append(
            {
                "same_five_best": best(ours) == best(same_pixels),
                "score_difference": float(np.abs(ours - same_pixels).max()),
                "same_five_best_with_own_decoding": best(ours) == best(own_pixels),
                "score_difference_with_own_decoding": float(np.abs(ours - own_pixels).max()),
                "top1": best(ours)[0] == label,
                "top5": label in best(ours),
                "source_top1": best(own_pixels)[0] == label,
            }
        )
    figures: dict[str, float | str] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "data": "labelled ImageNet photographs" if arguments.pictures else "scikit-image's photographs",
        "pictures": len(rows),
    }
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name.startswith("score"):
            figures[name] = max(values)
        elif arguments.pictures or name.startswith("same"):
            figures[name] = round(sum(values) / len(values), 4)
    print(json.dumps(figures, indent=2))
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
