# SPDX-License-Identifier: Apache-2.0
"""Every figure in the README and the pages is that of the benchmarks' results."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def page(name: str) -> str:
    """The page as one line."""
    return " ".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").split())


def spaced(number: float) -> str:
    """12345.6 as 12 346."""
    return f"{number:,.0f}".replace(",", " ")


def test_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = (RESULTS / "throughput.md").read_text(encoding="utf-8")
    (rate, ratio) = re.findall(r"^\| tags \| 8 \| (\S+) \| \S+ \| (\S+) ", table, re.MULTILINE)[0]
    assert f"**{float(rate):.0f} pictures/s** tagged with 8 in flight" in readme
    assert f"{float(ratio):.0%}".replace("%", " %") in readme
    quality = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    (precision,) = re.findall(r"^\| \*\*\S+\*\* \| (\S+) ", quality, re.MULTILINE)[:1]
    assert f"**{float(precision):.0%}**".replace("%", " %") in readme
    ours, theirs = re.findall(r"^\| all \| 105 \|.* (\S+) \| (\S+) \|$", quality, re.MULTILINE)[0]
    assert f"**{100 * float(ours):.2f} %** of characters" in readme
    assert f"RapidOCR has {100 * float(theirs):.2f} %" in readme


def test_performance() -> None:
    table = (RESULTS / "throughput.md").read_text(encoding="utf-8")
    assert table in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    text, picture = page("performance"), results("throughput")["picture"]
    width, height = picture["size"]
    assert f"a {width} × {height} JPEG of {spaced(picture['bytes'])} bytes (quality {picture['quality']})" in text


@pytest.mark.parametrize("name", ["performance", "scale"])
def test_tables_are_those_of_the_results(name: str) -> None:
    figures = runpy.run_path(str(ROOT / "benchmarks" / "figures.py"))
    written = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert figures["filled"](name, written) == written


def test_soak() -> None:
    text, soak = page("performance"), results("soak")
    before, *quarters = soak["before_and_each_quarter"]
    assert f"{spaced(soak['requests'])} requests in a row" in text
    *most, last = (f"{quarter['gateway_mib']:.0f}" for quarter in quarters)
    own = f"{before['gateway_mib']:.0f} MiB before, then {', '.join(most)} and {last} MiB after each quarter"
    others = f"{spaced(before['others_mib'])} MiB before, {spaced(quarters[-1]['others_mib'])} MiB after"
    assert f"The gateway's memory: {own}; all other processes: {others}." in text
    for what in ("descriptors", "threads", "tasks", "shared_memory_files"):
        assert quarters[-1][what] == before[what]


def test_lanes() -> None:
    lanes = results("lanes")
    bound, free = lanes["medians"]["bound"], lanes["medians"]["no bound"]
    assert (lanes["streams"], lanes["machine"]["cores"]) == (8, 2)
    assert (
        "Beside eight streams on two cores, the 95th percentile of interactive calls is "
        f"{bound['beside_p95_ms']:.0f} ms ({bound['alone_p95_ms']:.0f} ms alone, "
        f"{free['beside_p95_ms'] / 1000:.1f} s without the bound), and the streams keep their rate"
    ) in page("server")
    assert lanes["bulk_kept"] >= 0.98


def test_chaos() -> None:
    text, chaos = page("engines"), results("chaos")
    assert f"On {chaos['date']}, thirty minutes on two cores and {chaos['faults']} faults" in text
    assert (chaos["minutes"], chaos["cores"], len(chaos["each_fault"])) == (30, 2, chaos["faults"])
    assert f"{spaced(answered(chaos, 'OK'))} tasks were answered" in text
    assert f"{spaced(answered(chaos, 'UNAVAILABLE'))} refused with UNAVAILABLE and a delay during a restart" in text
    assert f"{answered(chaos, 'DEADLINE_EXCEEDED')} pictures of the stream ended at their deadline of a minute" in text
    assert "call DEADLINE_EXCEEDED" not in chaos["answers"]
    assert "None was INTERNAL, none went unanswered" in text
    assert chaos["internal"] == chaos["late"] == chaos["unavailable_without_retry_info"] == 0
    assert sum(chaos["answers"].values()) == sum(answered(chaos, code) for code in CODES)
    ready, again = (sorted(fault[f"{what}_seconds"] for fault in chaos["each_fault"]) for what in ("ready", "answered"))
    assert (
        f"ready again after {median(ready):.0f} s in the median and {ready[-1]:.0f} s at worst, "
        f"and each task had been answered again after {median(again):.0f} and {again[-1]:.0f} s"
    ) in text


def test_graphs() -> None:
    text, graphs = page("performance"), results("graphs")["graphs"]
    detector, recognizer = graphs["text_detector"], graphs["text_recognizer"]
    assert f"The published detector of text holds {spaced(detector['flushed_weights'])} weights below 1e-20" in text
    assert (
        f"takes {spaced(detector['as published']['cpu_ms'])} ms of CPU time as published and "
        f"{spaced(detector['flushed']['cpu_ms'])} ms flushed"
    ) in text
    assert f"The recogniser has {recognizer['flushed_weights']}, and gains nothing" in text
    assert detector["equal"]
    assert recognizer["equal"]


def test_accelerators() -> None:
    lines = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines()
    found = results("accelerators")
    for role, by_threads in found["speed"].items():
        for shape, one in by_threads["1"].items():
            own, other = one["onnxruntime"]["cpu_ms"], one["openvino"]["cpu_ms"]
            two = by_threads["2"][shape]
            ratio = two["openvino"]["cpu_ms"] / two["onnxruntime"]["cpu_ms"]
            size = " × ".join(shape.split(" x "))
            assert f"| `{role}` | {size} | {own} | {other} | {other / own:.2f} | {ratio:.2f} |" in lines
    for role, grown in found["memory_mib"].items():
        cells = (", ".join(map(str, grown[engine])) for engine in ("onnxruntime", "openvino"))
        assert f"| `{role}` | {' | '.join(cells)} |" in lines


CODES = ("OK", "UNAVAILABLE", "DEADLINE_EXCEEDED")


def answered(chaos: Mapping[str, Any], code: str) -> int:
    """Calls and pictures of the stream that ended with `code`."""
    return sum(count for what, count in chaos["answers"].items() if what.split()[1] == code)


def test_quality() -> None:
    written = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(ROOT / "benchmarks" / "quality.py"))["page"]()


def test_what_http_costs() -> None:
    text = page("http")
    doors = [each["doors"] for each in results("doors")["pictures"].values()]
    for door in doors[0].keys() - {"gRPC"}:
        assert f"| {door} | {' | '.join(format(each[door]['ratio'], '.2f') for each in doors)} |" in text
    assert all(each["Connect, JSON"]["ratio"] >= 0.85 and each["Connect, binary"]["ratio"] >= 0.92 for each in doors)


def test_what_keys_and_credits_cost() -> None:
    text, found = page("keys"), results("admission")
    assert (found["in_flight"], found["machine"]["cores"]) == (8, 2)
    for name, each in found["cases"].items():
        if not name.endswith("open"):
            assert f"| {name} | {each['ratio']:.2f} | {each['added_cpu_ms']:.1f} ms |" in text
    assert found["cases"]["gRPC, key and credits"]["ratio"] >= 0.95


def test_which_copies_are_found() -> None:
    text, found = page("duplicates"), results("duplicates")
    assert found["recall"].keys() == found["recall_with_rotations"].keys()
    for name, shares in found["recall"].items():
        cells = (*(shares[limit] for limit in ("20", "31", "40")), found["recall_with_rotations"][name]["31"])
        assert f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in cells)} |" in text
    assert f"Of the {spaced(found['pairs'])} pairs of {spaced(found['pictures'])} different photographs none" in text
    assert not any(count for alarms in found["false_alarms"].values() for count in alarms.values())
    assert f"{found['altered']} photographs" in text


def test_how_well_words_find_pictures() -> None:
    text, found = page("vectors"), results("retrieval")
    for language, name in (("en", "English"), ("fr", "French"), ("zh", "Chinese")):
        precision, times = found["mean average precision"][language], found["times chance"][language]
        assert f"| {name} | {precision:.2f} | {times} |" in text
        assert times >= 5
    assert all(each["photographs"] < found["photographs"] / 10 for each in found["things"].values())
    bicycle, skateboard, helmet = (found["things"][thing]["en"] for thing in ("bicycle", "skateboard", "helmet"))
    assert f"*bicycle* reaches {bicycle:.2f}" in text
    assert f"{skateboard:.2f} and {helmet:.2f}" in text
    shares = [f"{100 * found['captions as queries'][f'recall@{rank}']:.1f} %" for rank in (1, 5, 10)]
    assert (
        "first for {} of them (chance 0.2 %), among the first five for {}, among the first ten for {}".format(*shares)
        in text
    )


def test_overload() -> None:
    text, found = page("performance"), results("overload")
    apart, loaded, burst, ledger, back = (
        found[name] for name in ("three_times_apart", "three_times", "burst", "burst_with_a_ledger", "coming_back")
    )
    assert all(2.8 < each["times_peak"] < 3.2 for each in (apart, loaded))
    assert not any(each["others"] for each in (apart, loaded, burst, ledger, back)), (
        "neither answered nor properly refused"
    )
    assert f"{apart['of_peak']:.2f} of the peak rate is served" in text
    assert f"{apart['gateway_ms_of_a_refusal']:.1f} ms of the gateway for a call" in text
    assert f"{apart['gateway_ms_of_an_answer']:.1f} ms for an answer" in text
    assert f"{loaded['of_peak']:.2f} of the peak rate with both on the same two" in text
    assert (
        f"within {loaded['p99_s']:.1f} s (to answer all that is in flight takes {loaded['all_in_flight_at_peak_s']:.1f} s)"
        in text
    )
    assert f"{spaced(burst['calls'])} small pictures at once over {burst['connections']} connections" in text
    assert f"{spaced(burst['answered'])} are answered and {spaced(burst['refused'])} refused" in text
    grows = f"from {burst['memory_before_mib']} to {burst['memory_peak_mib']} MiB"
    assert f"within {burst['seconds']:.0f} s; the gateway's memory goes {grows}" in text
    assert f"With a ledger {spaced(ledger['answered'])} are answered" in text
    assert f"{spaced(back['calls'])} callers" in text
    assert f"within {back['seconds']:.0f} s, with {back['mean_attempts']:.1f} tries" in text


def test_piwigo() -> None:
    text, found = page("integrations/piwigo"), results("piwigo")
    assert f"{found['photographs']} photographs of 3 megapixels" in text
    assert f"within {found['accepted_median_ms']} ms, the slowest within {found['accepted_longest_ms']} ms" in text
    assert f"collected after {found['all_collected_s']:.0f} s" in text


def test_immich() -> None:
    text, found = page("integrations/immich"), results("immich")
    assert f"takes {found['relay']['more_ms']:.1f} ms longer" in text
    assert f"the median of {found['relay']['pairs']} pairs" in text
    assert found["ocr"]["/predict"]["ratio"] >= 1, "no more slowly"


def test_vectors() -> None:
    text, found = page("vectors"), results("vectors")
    columns = ("work", "in_flight", "vectors_per_second", "bare_graph", "ratio")
    columns += ("cpu_ms_per_vector", "bare_cpu_ms", "cpu_ratio", "mean_batch")
    for load in found["loads"]:
        assert f"| {' | '.join(str(load[column]) for column in columns)} |" in text


def test_candidates() -> None:
    text, found = page("vectors"), results("candidates")
    for language, name in (("en", "English"), ("fr", "French"), ("zh", "Chinese")):
        tried = [half["other words, other photographs"] for half in found["languages"][language]["halves"]]
        cells = (", ".join(f"{half[figure]:.2f}" for half in tried) for figure in ("precision", "recall"))
        assert f"| {name} | {' | '.join(cells)} |" in text


def test_rows_of_a_batch() -> None:
    cost = results("batch_rows")["cpu_ms_a_row"]["tagger 260x260x3"]
    assert f"a row of 16 took the tagger {cost['16'] / cost['1']:.2f} times as long as a single one" in page("models")
