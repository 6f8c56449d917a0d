# SPDX-License-Identifier: Apache-2.0
"""Assembles the server from its settings, runs it until it is told to stop, and shuts it down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from imagier_server import endpoints, event_loop_lag, optional_parts
from imagier_server.accounting import Accounting
from imagier_server.admission.callers import Shares
from imagier_server.admission.chain import chain
from imagier_server.admission.draining import Draining
from imagier_server.admission.heap import Heap
from imagier_server.admission.lanes import Lanes
from imagier_server.admission.pace import Pace
from imagier_server.admission.receiving import Receiving
from imagier_server.admission.scopes import scoped
from imagier_server.admission.sockets import Sockets
from imagier_server.admission.unfinished import Unfinished
from imagier_server.catalogue import Catalogue, catalogue
from imagier_server.decode.pool import DecoderPool
from imagier_server.decode.refusals import Caps
from imagier_server.engine_choice import EMBEDDED, chosen_engines
from imagier_server.engines.pool import Engines
from imagier_server.errors import causes
from imagier_server.exposition import exposed
from imagier_server.keyword_matching import KeywordMatching
from imagier_server.logs import log
from imagier_server.messages import ModelReference
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LockedModel, ModelLockError, read_lock
from imagier_server.opened_ledger import credit, open_ledger, ticket_desk
from imagier_server.pipeline import Pipeline
from imagier_server.prices import read_prices
from imagier_server.recording import Recorder
from imagier_server.settings import Settings
from imagier_server.stopping import stop_on_end_of_input, stop_on_signals
from imagier_server.streams import Streams
from imagier_server.tasks import registry
from imagier_server.tasks.embedding.golden import read_golden
from imagier_server.tasks.tags.keywords import Keywords
from imagier_server.tasks.task import Task
from imagier_server.text_embedding import TextEmbedder
from imagier_server.transport.certificates import Certificates
from imagier_server.transport.credentials import Credentials
from imagier_server.transport.gateway import Gateway
from imagier_server.transport.grpc.account_service import AccountService
from imagier_server.transport.grpc.incoming import Incoming, message_bytes
from imagier_server.transport.grpc.server import Services, listening
from imagier_server.transport.grpc.service import AnnotatorService

if TYPE_CHECKING:
    from imagier_server.receipts import Signer

_REMOTE_READY_SECONDS = 3.0  # then the port opens, with health NOT_SERVING


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or, if set, the end of standard input. A second signal exits at once.

    Raises `ModelLockError` for an incomplete model repository, `EmbeddedError` if Triton does not start, `UnusableFileError` for
    prices or a key, `OSError` for a taken port or unusable TLS files, `ImportError` for an extra that is not installed.
    """
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    if settings.exit_with_parent:
        stop_on_end_of_input(stopping)
    serving = asyncio.Event()

    async def run() -> None:
        async with running(settings) as addresses:
            serving.set()
            log(logging.INFO, "serving", address=addresses.grpc, http=addresses.http)
            if settings.ready_fd is not None:
                with suppress(BrokenPipeError), os.fdopen(settings.ready_fd, "w") as ready:
                    ready.write(f"{addresses.grpc}\n{addresses.http or ''}\n")
            await stopping.wait()
            log(logging.INFO, "stopping", seconds=settings.drain_seconds)

    server, stop = asyncio.create_task(run()), asyncio.create_task(stopping.wait())
    await asyncio.wait({server, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not serving.is_set():
        server.cancel()  # told to stop while the models load; nothing to drain
    with suppress(asyncio.CancelledError):
        await server


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens; `http` is None if it does not listen for HTTP."""

    grpc: str
    http: str | None


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Addresses]:
    """Run a server whose models are ready; yield the addresses. On exit: refuse, drain, then stop engine, decoders and threads."""
    # Pictures run in parallel; OpenCV's own thread pool would only compete with the models for the cores.
    cv2.setNumThreads(1)
    certificates = optional_parts.certificates(settings)
    metrics = Metrics()
    models = _installed(settings.model_repository)
    tasks = registry.load(settings.model_repository)
    prices = {name: task.price for name, task in tasks.items()} | read_prices(settings.prices, tasks)
    signer = optional_parts.signer(settings, models)
    _describe(metrics, models, tasks)
    draining = Draining()
    sockets = Sockets()
    metrics_host = settings.metrics_host or endpoints.beside(settings.host)
    async with AsyncExitStack() as stack:
        # Bind before the slow loading of models, because the port may be taken.
        stack.enter_context(endpoints.taken(settings.host, settings.port))
        metrics_sockets = stack.enter_context(endpoints.taken(metrics_host, settings.metrics_port))
        http_sockets = _http_sockets(settings, stack)
        # Started first and stopped last; the processes come before any gRPC object, which a fork would break.
        decoders = await stack.enter_async_context(
            DecoderPool(
                settings.decoders,
                Caps(settings.max_image_pixels, settings.max_image_side),
                settings.decode_memory,
                settings.decode_seconds,
                metrics,
            )
        )
        threads = stack.enter_context(ThreadPoolExecutor(settings.compute_threads, "compute"))
        ledger = await open_ledger(settings, metrics, stack)
        keyring = ledger.keyring if ledger else None
        keys = Credentials(keyring)
        charging = (
            *credit(ledger, prices, settings),
            *await optional_parts.usage_events(settings, metrics, stack),
        )
        gate = await stack.enter_async_context(
            chain(settings, draining, metrics, sockets.connected, scopes=scoped(keyring), credit=charging)
        )
        tracing = optional_parts.tracing(settings, stack)
        engines = await stack.enter_async_context(
            chosen_engines(
                settings,
                models,
                metrics,
                tracing.headers if tracing else tuple,
                read_golden(settings.model_repository, tasks),
            )
        )
        stack.enter_context(exposed(metrics.registry, metrics_sockets, endpoints.socket_path(metrics_host)))
        lag = asyncio.create_task(event_loop_lag.watch(metrics))
        stack.callback(lag.cancel)

        recorder = Recorder(metrics, tracing.span if tracing else nullcontext)
        pipeline = Pipeline(
            tasks=tasks,
            prices=prices,
            models={
                role: ModelReference(role, model.full_version, model.research_only) for role, model in models.items()
            },
            admission=gate.admission,
            recorder=recorder,
            decoder=decoders,
            engine=Lanes(engines, settings.bulk_ahead, metrics),
            threads=threads,
            metrics=metrics,
            deadline_seconds=settings.deadline_seconds,
            stream_deadline_seconds=settings.stream_deadline_seconds,
            signer=signer,
        )
        words = KeywordMatching(Keywords.of_repository(settings.model_repository), gate.admission, recorder, threads)
        texts = TextEmbedder(pipeline)
        books = Accounting(ledger, prices)
        trace = tracing.parent if tracing else nullcontext
        current = partial(_current, tasks, models, engines, prices, signer, settings)
        ready = partial(_ready, engines, models)
        service = AnnotatorService(
            pipeline, Streams(pipeline, draining, settings.stream_in_flight), words, texts, current, trace
        )
        # Wait for the first health checks, or early callers would be told that there is no engine.
        with suppress(TimeoutError):
            async with asyncio.timeout(None if settings.engine == EMBEDDED else _REMOTE_READY_SECONDS):
                await engines.wait_ready(models)
        receiving = _receiving(sockets, metrics, gate.pace, settings)
        stack.push_async_callback(receiving.close)
        desk = await ticket_desk(ledger, pipeline, gate, draining, settings, stack)
        gateway = Gateway(
            pipeline, words, texts, books, current, ready, keys, receiving, gate.batches, draining, metrics, trace, desk
        )
        # Stopped after gRPC, whose end awaits all work in flight: until then it refuses new work with a hint.
        http_address = await _http(stack, http_sockets, gateway, certificates, settings)
        server = await stack.enter_async_context(
            listening(
                Services(service, AccountService(books)),
                ready,
                draining.idle,
                Incoming(receiving, settings.receive_seconds, metrics, keys, pipeline.knock),
                settings,
                certificates,
            )
        )
        stack.callback(draining.begin)
        if settings.anyone_may_call:
            log(logging.WARNING, "open: callers need no key and no certificate", insecure_open=settings.insecure_open)
        yield Addresses(endpoints.joined(settings.host, server.port), http_address)


def _installed(repository: Path) -> Mapping[str, LockedModel]:
    models = read_lock(repository)
    required = {model for task in registry.tasks() if not task.optional for model in task.models}
    if missing := sorted(required - models.keys()):
        raise ModelLockError(f"{repository} lacks {', '.join(missing)}: run `imagier models install` first")
    return models


def _http_sockets(settings: Settings, stack: AsyncExitStack) -> list[socket.socket]:
    """Sockets for HTTP; none if it is off, or if its extra is missing and nobody asked for it."""
    if not settings.http:
        return []
    try:
        from imagier_server.transport.http import start  # noqa: PLC0415 - an extra that some installations lack
    except ImportError as error:
        if "http" in settings.model_fields_set:
            raise ImportError("HTTP is asked for: install imagier[http]") from error
        log(logging.WARNING, "no http", install="imagier[http]")
        return []
    return stack.enter_context(start.taken(settings))


async def _http(
    stack: AsyncExitStack,
    sockets: Sequence[socket.socket],
    gateway: Gateway,
    certificates: Certificates | None,
    settings: Settings,
) -> str | None:
    if not sockets:
        return None
    from imagier_server.transport.http.start import opened  # noqa: PLC0415 - as above

    return await stack.enter_async_context(opened(gateway, sockets, certificates, settings))


def _current(
    tasks: Mapping[str, Task[Any, Any]],
    models: Mapping[str, LockedModel],
    engines: Engines,
    prices: Mapping[str, int],
    signer: Signer | None,
    settings: Settings,
) -> Catalogue:
    made = catalogue(version("imagier"), tasks.values(), models, engines.ready, prices, settings)
    return replace(made, receipt_key=signer.key if signer else None)


def _ready(engines: Engines, models: Iterable[str]) -> bool:
    return all(engines.ready.get(model, False) for model in models)


def _receiving(sockets: Sockets, metrics: Metrics, pace: Pace, settings: Settings) -> Receiving:
    longest = message_bytes(settings)
    return Receiving(
        Shares(4 * settings.in_flight, sockets.connected),
        settings.receive_bytes,
        metrics,
        Heap(),
        Unfinished(longest, sockets.received),
        pace,
    )


def _describe(metrics: Metrics, models: Mapping[str, LockedModel], tasks: Mapping[str, Task[Any, Any]]) -> None:
    """Set the metrics known before the first request: build, models, and all series at zero."""
    metrics.build.info({"version": version("imagier"), "python": platform.python_version()})
    for model in models.values():
        metrics.models.labels(model.role, model.full_version, model.source_digest[:12]).set(1)
    metrics.zero(tasks, models, causes())
