# SPDX-License-Identifier: Apache-2.0
"""Importing does nothing, and the light client stays light. Each test asks a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

# Imports every module of the package named, and prints what an import has no business doing.
IMPORT_ALL = """
import importlib, logging, pkgutil, signal, sys, threading

FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.fork", "os.exec",
             "os.posix_spawn", "os.remove", "os.mkdir", "shutil.rmtree", "tempfile.mkdtemp", "tempfile.mkstemp")

def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if event in FORBIDDEN or writes:
        print(event, args)
        raise PermissionError(event)

package = sys.argv[1]
sys.argv = ["imagier", "--no-such-flag"]
try:
    import torch  # its CUDA build looks for a library by way of a temporary file
except ImportError:
    pass
handler = signal.getsignal(signal.SIGTERM)
sys.addaudithook(watch)
names = [package]
for path in importlib.import_module(package).__path__:
    found = pkgutil.walk_packages([path], package + ".", onerror=lambda name: print("cannot import", name))
    # Triton alone imports what lies in a backend's folder; and transformers, when it is imported, looks round in this machine.
    skipped = ("_backend.", "checkpoint", "embedder", "multilingual_clip", "space_install")
    names += [module.name for module in found if not any(word in module.name for word in skipped)]
for name in names:
    importlib.import_module(name)
print(len(names), "modules", file=sys.stderr)
if logging.getLogger().handlers:
    print("logging is set up")
if threading.active_count() > 1:
    print("threads:", threading.enumerate())
if signal.getsignal(signal.SIGTERM) is not handler:
    print("a signal handler is set")
"""


def run(code: str, *argv: str) -> str:
    """What `code` prints in an interpreter without an environment."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *argv], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_server_does_nothing() -> None:
    assert run(IMPORT_ALL, "imagier_server") == ""


def test_importing_the_client_does_nothing() -> None:
    assert run(IMPORT_ALL, "imagier_client") == ""


def test_the_client_library_needs_grpc_and_protobuf_only() -> None:
    code = """
import importlib, pkgutil, sys

for extra in ("numpy", "PIL", "rich", "typer", "click"):
    sys.modules[extra] = None  # importing it fails
package = importlib.import_module("imagier_client")
for module in pkgutil.walk_packages(package.__path__, "imagier_client.", onerror=print):
    if module.name.split(".")[1] not in {"cli", "drawing", "duplicates"}:
        print(importlib.import_module(module.name).__name__)
"""
    imported = run(code).split()
    assert {"imagier_client.aio", "imagier_client.blocking", "imagier_client.documents.alto"} <= set(imported)


def test_each_extra_that_is_missing_is_named_in_a_sentence() -> None:
    command = "import sys; sys.modules[sys.argv.pop(1)] = None; from imagier_client.cli import main; print(main())"
    for module, arguments, extra in (
        ("rich", ["--version"], "imagier[cli]"),
        ("PIL", ["annotate", "--draw", "nowhere", "picture.jpg"], "imagier[drawing]"),
    ):
        done = subprocess.run(
            [sys.executable, "-B", "-c", command, module, *arguments], capture_output=True, text=True, check=True
        )
        assert extra in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout.strip() in {"2", "3"}


def test_the_client_needs_neither_numpy_nor_the_server() -> None:
    heavy = {
        "numpy",
        "cv2",
        "onnx",
        "onnxruntime",
        "prometheus_client",
        "pydantic",
        "torch",
        "tritonclient",
        "imagier_server",
    }
    modules = run("import imagier_client, sys; print(*{name.split('.')[0] for name in sys.modules})")
    assert heavy & set(modules.split()) == set()
    # Typer brings pydantic, which it needs for the values of options only.
    *_, modules = run(
        "from imagier_client.cli import main; import sys; main(['--help']); print();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    ).splitlines()
    assert heavy & set(modules.split()) == set()


def test_the_server_imports_no_exporter_no_torch_and_no_tracing() -> None:
    modules = run("import imagier_server.app, imagier_server.commands, sys; print(*sys.modules)").split()
    assert [
        name for name in modules if name.startswith(("torch", "onnx", "opentelemetry", "imagier_server.export"))
    ] == []
