# SPDX-License-Identifier: Apache-2.0
"""Runs a command of the shell where nobody can be reached, and says whom it asked for: `run`.

Bubblewrap makes the place: network and processes of its own, all files read-only but those of one folder. In it
`python sealed.py REPORT COMMAND` looks after a resolver that knows no name, and a cable into which all goes that leaves.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
RESOLVER = "127.0.0.1"
IPV4, IPV6, ICMPV6, HOP_BY_HOP = 0x0800, 0x86DD, 58, 0
NAME_ERROR = 3
CABLE = """
ip link add out type veth peer name end
ip link set out arp off up
ip link set end up
ip address add 198.51.100.1/24 dev out
ip address add 2001:db8::1/64 dev out nodad
ip route add default dev out
ip -6 route add default dev out
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was asked for in a sealed place: names looked up, and addresses beyond loopback that something was sent to."""

    names: set[str]
    addresses: set[str]


def run(folder: Path, command: str, arguments: Sequence[str] = (), **environment: str) -> Seen:
    """Runs `command` for the shell, with `arguments` as $1, $2 …: what it asked for.

    Only `folder` can be written to: it holds `home`, the home folder, and `tmp`, which is /tmp. A failure fails the test.
    """
    for name in ("home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    resolver, switch = (folder.with_name(f"{folder.name}.{name}") for name in ("resolver", "switch"))
    resolver.write_text(f"nameserver {RESOLVER}\n", encoding="ascii")
    switch.write_text("hosts: files dns\n", encoding="ascii")
    report = folder / "report"
    place = [
        *("--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--unshare-net", "--unshare-pid"),
        *("--die-with-parent", "--clearenv", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        # Other ways to ask for a name: nscd's and systemd's sockets.
        *("--tmpfs", "/run", "--ro-bind", str(resolver), str(Path("/etc/resolv.conf").resolve())),
        *("--ro-bind", str(switch), str(Path("/etc/nsswitch.conf").resolve())),
        *("--bind", str(folder / "tmp"), "/tmp"),
    ]
    for shown in (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)):
        if shown.is_relative_to("/tmp"):
            place += ["--ro-bind", str(shown), str(shown)]
    place += ["--bind", str(folder), str(folder), "--chdir", str(folder)]
    told = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **environment}
    for name, value in told.items():
        place += ["--setenv", name, value]
    done = subprocess.run(
        ["bwrap", *place, sys.executable, "-I", __file__, str(report), command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    seen = json.loads(report.read_bytes())
    report.unlink()
    return Seen(names=set(seen["names"]), addresses=set(seen["addresses"]))


def answer(queries: socket.socket, names: set[str]) -> None:
    """Answers every question with "no such name", and notes the name."""
    while True:
        query, asker = queries.recvfrom(4096)
        labels, at = [], 12
        while at < len(query) and query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        names.add(".".join(labels))
        # The same header and question: an answer, recursion available.
        flags = 0x8180 | NAME_ERROR
        counts = (1).to_bytes(2, "big") + bytes(6)
        queries.sendto(query[:2] + flags.to_bytes(2, "big") + counts + query[12 : at + 5], asker)


def watch(cable: socket.socket, addresses: set[str]) -> None:
    """Notes where each packet goes. IPv6's own chatter with its neighbours is nobody's call."""
    while True:
        packet, (_, protocol, *_) = cable.recvfrom(65536)
        if protocol == IPV4:
            addresses.add(socket.inet_ntop(socket.AF_INET, packet[16:20]))
        elif protocol == IPV6 and packet[6] not in {ICMPV6, HOP_BY_HOP}:
            addresses.add(socket.inet_ntop(socket.AF_INET6, packet[24:40]))


def main(report: str, command: str, *arguments: str) -> int:
    names: set[str] = set()
    addresses: set[str] = set()
    subprocess.run(["sh", "-ec", CABLE], check=True)
    queries = socket.socket(type=socket.SOCK_DGRAM)
    queries.bind((RESOLVER, 53))
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
    cable.bind(("end", 0x0003))
    threading.Thread(target=answer, args=(queries, names), daemon=True).start()
    threading.Thread(target=watch, args=(cable, addresses), daemon=True).start()
    status = subprocess.run(["sh", "-ec", command, "sh", *arguments], check=False).returncode
    Path(report).write_text(json.dumps({"names": sorted(names), "addresses": sorted(addresses)}), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
