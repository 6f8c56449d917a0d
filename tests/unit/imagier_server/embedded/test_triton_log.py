# SPDX-License-Identifier: Apache-2.0
"""What is read out of Triton's log, and of its exit status."""

from __future__ import annotations

import signal
import stat

import pytest
from imagier_server.embedded import triton_log


def test_the_log_is_appended_to_and_only_its_owner_reads_it(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "triton.log").write_text("another run\n")
    with triton_log.open_log(tmp_path / "logs") as log:
        log.file.write(b"this run\n")
        log.file.flush()
        assert log.text() == "this run\n"
    with triton_log.open_log(tmp_path / "new") as log:
        assert stat.S_IMODE((tmp_path / "new" / "triton.log").stat().st_mode) == 0o600


def test_explain_names_the_models_that_failed():
    log = (
        'I1121 04:41:35.728615 13154 model_lifecycle.cc:472] "loading: tagger:1"\n'
        'E1121 04:41:35.726488 13154 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        "E1121 04:41 1 a.cc:642] \"failed to load 'tagger' version 1: Internal: no such file\\n\\nAt:\\n  x\"\n"
        "error: creating server: Internal - failed to load all models"
    )
    assert triton_log.explain(log) == "failed to load 'tagger' version 1: Internal: no such file"


def test_explain_falls_back_to_the_last_lines():
    assert triton_log.explain("\n".join(map(str, range(20)))) == "\n".join(map(str, range(10, 20)))
    assert triton_log.explain("") == "its log is empty"


def test_its_end_is_what_is_more_than_information_in_this_run(tmp_path):
    (tmp_path / "triton.log").write_text("E1121 04:41:35.7 1 a.cc:1] an older run\n")
    with triton_log.open_log(tmp_path) as log:
        assert log.end() == []
        log.file.write(b'I1121 04:41:35.728615 13154 model_lifecycle.cc:472] "loading: tagger:1"\n' * 400)
        log.file.write(b"+-----+\n| key |\n+-----+\n\n")
        log.file.write(b"Signal (11) received.\n 0# 0x00005F in tritonserver\n" + b"x" * 1000)
        log.file.flush()
        assert log.end() == ["Signal (11) received.", " 0# 0x00005F in tritonserver", "x" * 200]
        log.file.write(b"\n1\n" * 5000)
        log.file.flush()
        assert len(log.end()) == 20


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit status 0"),
        (1, "exit status 1"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (-signal.SIGKILL, "SIGKILL"),
        (-60, "signal 60"),
    ],
)
def test_the_reason_of_an_end(status, text):
    assert triton_log.reason(status) == text
