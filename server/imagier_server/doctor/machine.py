# SPDX-License-Identifier: Apache-2.0
"""Checks cores, memory, disk and GPU with the standard library only."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from imagier_server.cores import usable_cores
from imagier_server.doctor.finding import Finding, binary_size, note, wrong

CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend has its regions

TRITON_BYTES, GATEWAY_BYTES, DECODER_BYTES = 2560 << 20, 256 << 20, 144 << 20
"""Memory of Triton, of the gateway and of each decoder, for photographs: the figures of docs/server.md, rounded up."""
DISK_BYTES = 1 << 30
"""Disk space for the models, their sources during conversion, and a margin."""
GPU_SECONDS = 20.0

# By machine: the flag as the kernel names it, and what people call it. These are what ONNX Runtime has kernels of its own for.
FLAGS = {
    "x86_64": {
        "avx2": "AVX2",
        "avx512f": "AVX-512",
        "avx_vnni": "AVX-VNNI",
        "avx512_vnni": "AVX-512 VNNI",
        "avx512_bf16": "AVX-512 BF16",
        "amx_int8": "AMX INT8",
        "amx_bf16": "AMX BF16",
    },
    "aarch64": {"asimd": "NEON", "asimddp": "dot product", "i8mm": "I8MM", "bf16": "BF16", "sve": "SVE"},
}


def system() -> Finding:
    """The operating system, CPU architecture and Python."""
    kernel = ".".join(platform.release().split(".")[:2])
    library = " ".join(platform.libc_ver()).strip() or "another C library"
    found = f"{platform.system()} {kernel}, {platform.machine()}, {library}, Python {platform.python_version()}"
    return Finding("system", found)


def cores() -> Finding:
    """The CPU cores that this process may use."""
    usable, all_of_them = usable_cores(), os.cpu_count() or 1
    found = f"{usable} of {all_of_them}" if usable < all_of_them else f"{usable}"
    if usable == 1:
        return note("cores", found, "Models, decoders and gateway share one core: give it two or more.")
    return Finding("cores", found)


def processor(machine: str | None = None, cpu_info: Path = CPU_INFO) -> Finding:
    """The CPU's model and the flags that matter to the models."""
    machine = machine or platform.machine()
    try:
        rows = [row.partition(":") for row in cpu_info.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return note("processor", machine, "The kernel does not tell its flags: /proc/cpuinfo cannot be read.")
    said = {name.strip().lower(): value.strip() for name, _, value in reversed(rows)}  # of the first core
    flags = (said.get("flags") or said.get("features") or "").split()
    known = [name for flag, name in FLAGS.get(machine, {}).items() if flag in flags]
    found = ": ".join(filter(None, (said.get("model name", machine), ", ".join(known) or "no vector flags known")))
    if machine == "x86_64" and "avx2" not in flags:
        return note(
            "processor", found, "Without AVX2 the models are slow: take a processor, or a virtual one, that has it."
        )
    return Finding("processor", found)


def memory(
    decoders: int, *, triton: bool, memory_info: Path = MEMORY_INFO, cgroup_memory: Path = CGROUP_MEMORY
) -> Finding:
    """Memory limit and free memory. `triton`: whether an embedded Triton must fit in, too."""
    needed = GATEWAY_BYTES + decoders * DECODER_BYTES + triton * TRITON_BYTES
    rows = (row.split() for row in memory_info.read_text("ascii").splitlines())
    sizes = {row[0].rstrip(":"): int(row[1]) << 10 for row in rows if len(row) > 1}
    usable, free = sizes["MemTotal"], sizes["MemAvailable"]
    with suppress(OSError, ValueError):  # no limit: "max"
        usable = min(usable, int(cgroup_memory.read_text("ascii")))
    found = f"{binary_size(usable)}, {binary_size(min(usable, free))} free on this machine"
    parts = "the embedded Triton, the gateway and" if triton else "the gateway and"
    need = f"photographs take {binary_size(needed)} for {parts} {decoders} decoders"
    if usable < needed:
        return wrong("memory", found, f"Too little: {need}. Give it more, or lower --decoders.")
    if free < needed:
        return note("memory", found, f"Unless a server of yours runs already, end other programs: {need}.")
    return Finding("memory", found)


def shared_memory(needed: int, *, running: bool, place: Path = SHARED_MEMORY) -> Finding:
    """Shared memory for batches between Triton and the models, `needed` bytes. `running`: our own server may hold them."""
    try:
        size = os.statvfs(place)
    except OSError as error:
        return wrong("shared memory", f"{error.strerror}", f"The embedded Triton needs it: mount a tmpfs at {place}.")
    total, free = size.f_frsize * size.f_blocks, size.f_frsize * size.f_bavail
    found = f"{binary_size(free)} of {binary_size(total)} free"
    if not os.access(place, os.W_OK | os.X_OK):
        return wrong(
            "shared memory", f"{found}, not writable", f"The embedded Triton writes there: `chmod 1777 {place}`."
        )
    if total < needed or (free < needed and not running):
        advice = f"The models need {binary_size(needed)}: `--shm-size=256m` gives a container as much; elsewhere remount {place}."
        return wrong("shared memory", found, advice)
    return Finding("shared memory", found)


def disk(repository: Path) -> Finding:
    """Free disk space for the model repository."""
    folder = next(path for path in (repository.absolute(), *repository.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    found = f"{binary_size(free)} free where the models are"
    if free < DISK_BYTES:
        return note("disk", found, f"Installing models may take {binary_size(DISK_BYTES)}: free some.")
    return Finding("disk", found)


def open_files(connections: int) -> Finding:
    """The limit of open files and sockets: one per connection, plus some."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Finding("open files", "no limit")
    if soft < connections + 256:
        advice = f"--connections allows {connections}: say `ulimit -n {connections + 1024}` first, or lower it."
        return note("open files", f"at most {soft}", advice)
    return Finding("open files", f"at most {soft}")


def gpu() -> Finding:
    """NVIDIA GPUs listed by `nvidia-smi`, and whether the installed ONNX Runtime can use them."""
    runtimes = [name for name in ("onnxruntime", "onnxruntime-gpu") if installed(name)]
    listed = _nvidia_smi()
    if len(runtimes) > 1:
        advice = (
            "Both hold the same files: `pip uninstall onnxruntime onnxruntime-gpu`, then install the one that you want."
        )
        return wrong("GPU", f"{listed or 'none'}; onnxruntime beside onnxruntime-gpu", advice)
    if listed is None:
        if runtimes == ["onnxruntime-gpu"]:
            advice = "ONNX Runtime for CUDA is installed and runs on the processor: in a container, hand the GPU in (`--gpus all`)."
            return note("GPU", "none found", advice)
        return Finding("GPU", "none; the models run on the processor")
    if runtimes == ["onnxruntime"]:
        advice = "It is not used: `pip uninstall onnxruntime`, then `pip install 'imagier[server,gpu]'`."
        return note("GPU", listed, advice)
    return Finding("GPU", listed)


def _nvidia_smi() -> str | None:
    """The GPUs with memory and driver; None without GPUs or `nvidia-smi`."""
    if not (program := shutil.which("nvidia-smi")):
        return None
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [program, *query], capture_output=True, text=True, timeout=GPU_SECONDS, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [row.strip() for row in done.stdout.splitlines() if row.strip()]
    return "; ".join(rows) or None


def installed(distribution: str) -> bool:
    """Whether this environment has a distribution."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
