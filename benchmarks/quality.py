# SPDX-License-Identifier: Apache-2.0
"""Writes docs/quality.md from benchmarks/results/*.json: the last step of `make quality`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "quality.md"
HEAD = """\
# How good it is

Made by `make quality` out of the files in [`benchmarks/results`](../benchmarks/results): do not edit. Without arguments it
measures what it can draw by itself; `PICTURES=`, `CAPTIONS=` and `SAMPLES=` name folders of labelled photographs, captioned ones
and pictures with text, which are not ours to ship. What a figure means for a caller stands in [tags.md](tags.md),
[ocr.md](ocr.md) and [server.md](server.md).
"""

YARDSTICK = {"BLEU-1": (0.583, 0.604), "BLEU-4": (0.178, 0.192), "CIDEr": (0.498, 0.497)}
"""Of the same split: a transformer of 10.6 million parameters on the same backbone, by which the captioner is judged."""

Row = Sequence[object]


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def section(title: str, source: str, data: str, date: str, *parts: str) -> str:
    return "\n\n".join((f"## {title}", f"`benchmarks/{source}.py`, {date}: {data}.", *parts))


def table(head: Row, rows: Iterable[Row]) -> str:
    """Name-value rows with three digits."""

    def cell(value: object) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def tags_as_their_source() -> str:
    figures = result("tags_quality")
    rows = [
        ("top-1", figures["top1"]),
        ("top-5", figures["top5"]),
        ("top-1 of the source, in PyTorch", figures["source_top1"]),
        ("same five best as the source, on the same pixels", figures["same_five_best"]),
        ("largest score difference", f"{figures['score_difference']:.0e}"),
    ]
    data = f"{figures['pictures']} {figures['data']}"
    return section("The tagger beside its source", "tags_quality", data, figures["date"], table(("", ""), rows))


def tags_calibrated() -> str:
    figures = result("tags_calibration")
    calibration, constants = figures["calibration"], figures["constants"]
    reliability = table(
        ("score from", "classes", "mean score", "right"),
        (
            (f"{row['from']:.1f}", row["count"], row["score"], row["right"])
            for row in calibration["classes_with_ours"]["bins"]
        ),
    )
    errors = table(
        ("expected calibration error", "raw", "calibrated"),
        [
            (
                name,
                calibration[f"{key}_raw"]["expected_calibration_error"],
                calibration[f"{key}_with_ours"]["expected_calibration_error"],
            )
            for name, key in (("best class", "classes"), ("parents", "parents"))
        ],
    )
    thresholds = table(
        ("min_score", "precision, labelled", "precision, captioned", "tags per photograph", "without any"),
        (
            (
                f"**{threshold}**" if float(threshold) == constants["min_score"] else threshold,
                row["labelled"]["precision"],
                row["captions"]["precision"],
                row["captions"]["tags"],
                row["captions"]["without_tags"],
            )
            for threshold, row in figures["by_threshold"].items()
        ),
    )
    unseen = figures["unseen_photographs"]
    words = (
        f"On {unseen['photographs']} held-out captioned photographs: precision {unseen['precision']:.3f}, "
        f"{unseen['tags']:.2f} tags each, {unseen['without_tags']:.0%} without any, "
        f"{unseen['contradictions']['pictures']} with tags that contradict one another "
        f"({unseen['contradictions_of_the_first_version']['pictures']} before the rule). "
        "Captions leave things out: precision by captions is a lower bound."
    )
    data = f"{figures['labelled']}; {figures['captioned']}"
    return section("Scores of tags", "tags_calibration", data, figures["date"], errors, reliability, thresholds, words)


def tags_by_crops() -> str:
    figures = result("tags_crops")
    ordinary = table(
        ("ordinary photographs", "inferences", "top-1", "top-5"),
        ((name, row["inferences"], row["top1"], row["top5"]) for name, row in figures["ordinary"].items()),
    )
    wide = table(
        ("panoramas, by aspect", "labels named, centre", "by crops", "precision, centre", "by crops", "inferences"),
        (
            (
                f"{centre['aspect']:.1f}",
                centre["labels_named"],
                crops["labels_named"],
                centre["precision"],
                crops["precision"],
                crops["inferences"],
            )
            for centre, crops in (tuple(rows.values()) for rows in figures["panoramas"].values())
        ),
    )
    return section("One crop or several", "tags_crops", figures["data"], figures["date"], ordinary, wide)


def captions() -> str:
    figures, export = result("captions_quality"), result("captions_export")
    calibration = figures["calibration, by cross-validation"]
    scores = table(
        ("", figures["model"], "baseline, greedy", "with three beams"),
        [
            ("BLEU-1", figures["BLEU-1"], *YARDSTICK["BLEU-1"]),
            ("BLEU-4", figures["BLEU-4"], *YARDSTICK["BLEU-4"]),
            ("CIDEr", figures["CIDEr"], *YARDSTICK["CIDEr"]),
        ],
    )
    reliability = table(
        ("score from", "captions", "mean score", "right"),
        ((f"{row['from']:.1f}", row["count"], row["score"], row["right"]) for row in calibration["bins"]),
    )
    thresholds = table(
        ("min_score", "above the threshold", "of these right"),
        ((threshold, row["kept"], row["right"]) for threshold, row in figures["thresholds"].items()),
    )
    same = ", ".join(
        f"{row['same pictures']} of {export['pictures']} with {batch} per request"
        for batch, row in export["by batch"].items()
    )
    words = (
        "A caption is right if five people's captions back three quarters of its content words. "
        f"{figures['right']:.0%} of all captions are right; expected calibration error "
        f"{calibration['expected calibration error']:.3f}. All {export['captions of each']} captions are PyTorch's token by token, "
        f"on real Triton, for {same} (`benchmarks/captions_export.py`, {export['date']})."
    )
    data = f"{figures['photographs']} photographs of {figures['data']}"
    return section("Captions", "captions_quality", data, figures["date"], scores, reliability, thresholds, words)


def text_beside_rapidocr() -> str:
    figures = result("ocr_quality")
    counts = ("pictures", "matched lines", "unmatched lines", "distance of matched")
    rows = (
        (name, *map(row.__getitem__, counts), *_rates(row, "our CER", "their CER"))
        for name, row in figures["groups"].items()
    )
    head = ("", "pictures", "matched lines", "unmatched", "distance", "our CER", "RapidOCR's CER")
    times = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in figures["milliseconds a picture"].items())
    data = "pages, scans, signs and menus drawn in three languages, and sample pictures; both in one process, on the same graphs"
    return section(
        "Ordinary pages", "ocr_quality", data, figures["date"], table(head, rows), f"Milliseconds per picture: {times}."
    )


def _rates(row: dict[str, float | None], *names: str) -> list[str]:
    return ["" if rate is None else f"{rate:.4f}" for rate in map(row.__getitem__, names)]


def text_that_is_hard() -> str:
    figures = result("ocr_hard")
    rows = (
        (name, row["pages"], *_rates(row, "our CER", "RapidOCR's CER", "our CER, order included"))
        for name, row in figures["groups"].items()
    )
    head = ("", "pages", "our CER", "RapidOCR's CER", "ours, reading order included")
    words = "The last column compares the whole text in the order returned, without spaces."
    return section(
        "Turned, long, tiny, in columns", "ocr_hard", "drawn pages", figures["date"], table(head, rows), words
    )


def text_in_scripts() -> str:
    figures = result("ocr_scripts")
    wears = list(next(iter(figures["languages"].values()))["CER"])
    languages = table(
        ("language", "script", *wears, "lines kept"),
        (
            (tag, row["script"], *(f"{rate:.3f}" for rate in row["CER"].values()), row["kept"])
            for tag, row in figures["languages"].items()
        ),
    )
    reliability = table(
        ("confidence from", "lines", "mean confidence", "right"),
        ((f"{row['from']:.1f}", row["lines"], row["confidence"], row["right"]) for row in figures["reliability"]),
    )
    words = (
        f"Expected calibration error {figures['expected calibration error']:.3f}, and "
        f"{figures['expected calibration error by fits to the other languages']:.3f} if each language is judged by a fit to the "
        "others. Of the lines in unsupported scripts, "
        f"{figures['unreadable lines kept']:.1%} have a confidence of 0.5 or more. CER is that of the default result: "
        "a line that is left out counts as lost."
    )
    return section(
        "Languages, scripts, confidence",
        "ocr_scripts",
        figures["data"],
        figures["date"],
        languages,
        reliability,
        words,
    )


def worst_pictures() -> str:
    figures = result("worst_picture")
    names = {
        "decoder_mib": "decoder, MiB",
        "decoder_cpu_seconds": "decoder, CPU seconds",
        "gateway_mib": "gateway, MiB",
        "gateway_cpu_seconds": "gateway, CPU seconds",
        "engine_mib": "engine, MiB",
        "engine_cpu_seconds": "engine, CPU seconds",
        "seconds": "whole request, seconds",
    }
    rows = ((label, figures["worst"][key][key], figures["worst"][key]["picture"]) for key, label in names.items())
    data = f"{figures['data']}; {figures['cores']} cores, load {figures['load_at_start']} at the start"
    return section(
        "The worst accepted picture",
        "worst_picture",
        data,
        figures["date"],
        table(("", "worst", "which"), rows),
    )


def page() -> str:
    """All of docs/quality.md."""
    sections = (
        tags_as_their_source(),
        tags_calibrated(),
        tags_by_crops(),
        captions(),
        text_beside_rapidocr(),
        text_that_is_hard(),
        text_in_scripts(),
        worst_pictures(),
    )
    return "\n\n".join((HEAD.rstrip(), *sections)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
