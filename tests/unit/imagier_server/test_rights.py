# SPDX-License-Identifier: Apache-2.0
"""What a process has given up, so have those that it starts."""

from __future__ import annotations

import subprocess
import sys

GIVEN_UP = """
import subprocess, sys
from imagier_server import rights

rights.forbid_core_dumps()
rights.forbid_new_privileges()
rights.forbid_core_dumps()
child = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), 'NoNewPrivs:\\t1' in open('/proc/self/status').read())"
subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_programs_that_are_started_dump_no_core_and_gain_no_privileges() -> None:
    said = subprocess.run([sys.executable, "-c", GIVEN_UP], capture_output=True, text=True, check=True).stdout
    assert said == "(1, 1) True\n"


LOWER_ALREADY = """
import os, resource
from imagier_server import rights

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.geteuid() or os.setresuid(65534, 65534, 65534)
rights.forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_lower_limit_is_left_as_it_is() -> None:
    said = subprocess.run([sys.executable, "-c", LOWER_ALREADY], capture_output=True, text=True, check=True).stdout
    assert said == "(0, 0)\n"
