# SPDX-License-Identifier: Apache-2.0
"""What an engine leaves behind is removed when, and only when, nobody lives who used it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

from imagier_server.embedded import scratch


def test_the_folder_is_private_and_gone_at_the_end(tmp_path):
    with scratch.scratch(tmp_path) as place:
        (place.path / "triton.log").touch()
        region = tmp_path / f"{place.region_prefix}0b1c"
        region.touch(0o644)
        place.close_regions()
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(region.stat().st_mode) == 0o600
    assert not list(tmp_path.iterdir())


def test_what_others_made_under_our_name_is_left_alone(tmp_path):
    with scratch.scratch(tmp_path) as place:
        precious = tmp_path / "precious"
        precious.touch(0o644)
        planted = [tmp_path / f"{place.region_prefix}link", tmp_path / f"{place.region_prefix}theirs"]
        planted[0].symlink_to(precious)
        planted[1].touch(0o644)
        os.chown(planted[1], 65534, 65534) if os.geteuid() == 0 else planted.pop().unlink()
        place.close_regions()
    assert {stat.S_IMODE(path.stat().st_mode) for path in planted} == {0o644}
    assert set(tmp_path.iterdir()) == {precious, *planted}


def test_what_a_dead_engine_left_is_removed_and_nothing_else(tmp_path):
    with scratch.scratch(tmp_path) as alive:
        dead = tmp_path / f"{scratch.PREFIX}dead"
        (dead / "models").mkdir(parents=True)
        (tmp_path / f"{dead.name}-region").touch()
        kept = {
            alive.path,
            tmp_path / f"{alive.region_prefix}region",
            tmp_path / "triton_python_backend_shm_region_1",
            tmp_path / "sem.other",
            tmp_path / f"{scratch.PREFIX}file",
            tmp_path / f"{scratch.PREFIX}link",
        }
        (tmp_path / f"{scratch.PREFIX}link").symlink_to(tmp_path)
        for path in kept - {alive.path, tmp_path / f"{scratch.PREFIX}link"}:
            path.touch()
        scratch.remove_abandoned(tmp_path)
        assert set(tmp_path.iterdir()) == kept


def test_a_process_that_inherited_the_lock_keeps_the_folder(tmp_path):
    path, lock = scratch._create(tmp_path)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    os.close(lock)
    scratch.remove_abandoned(tmp_path)
    assert path.is_dir()
    heir.communicate(b"\n")
    scratch.remove_abandoned(tmp_path)
    assert not path.exists()
