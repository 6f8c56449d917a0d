# SPDX-License-Identifier: Apache-2.0
"""Puts the server together from its settings, runs it until it is told to stop, and takes it down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import cv2
from prometheus_client import start_http_server

from imagier_server import embedded
from imagier_server.admission.limits import Limits
from imagier_server.decode.decoder import Caps
from imagier_server.decode.pool import DecoderPool
from imagier_server.engines.addresses import Resolver, following, parse
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.errors import causes
from imagier_server.logs import log
from imagier_server.messages import Lane, ModelReference
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LockedModel, ModelLockError, read_lock
from imagier_server.pipeline import Pipeline
from imagier_server.settings import Settings
from imagier_server.tasks import registry
from imagier_server.tasks.task import Task
from imagier_server.transport.catalog import catalog
from imagier_server.transport.grpc_server import listening
from imagier_server.transport.grpc_service import AnnotatorService
from imagier_server.triton import TritonEngine

if TYPE_CHECKING:
    from imagier_server.tracing import Tracing

EMBEDDED = "embedded"
_LAG_INTERVAL = 0.25
_REMOTE_READY_SECONDS = 3.0  # then callers are answered that the engines are away, and health says so


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or, if asked to, the end of standard input. A second signal ends it at once.

    Raises `ModelLockError` for an incomplete model repository, `EmbeddedError` if Triton does not start or does not start again,
    `OSError` for a taken port, `ImportError` for an extra that is not installed.
    """
    stopping = asyncio.Event()
    lost: list[BaseException] = []

    def on_engine_lost(error: BaseException) -> None:
        lost.append(error)
        stopping.set()

    _stop_on_signals(stopping)
    if settings.exit_with_parent:
        _stop_on_end_of_input(stopping)
    serving = asyncio.Event()

    async def run() -> None:
        async with running(settings, on_engine_lost) as address:
            serving.set()
            log(logging.INFO, "serving", address=address)
            if settings.ready_fd is not None:
                with suppress(BrokenPipeError), os.fdopen(settings.ready_fd, "w") as ready:
                    ready.write(f"{address}\n")
            await stopping.wait()
            log(logging.INFO, "stopping", seconds=settings.drain_seconds)

    server, stop = asyncio.create_task(run()), asyncio.create_task(stopping.wait())
    await asyncio.wait({server, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not serving.is_set():
        server.cancel()  # told to stop while the models load; nothing to drain
    with suppress(asyncio.CancelledError):
        await server
    if lost:
        raise lost[0]


@asynccontextmanager
async def running(settings: Settings, on_engine_lost: Callable[[BaseException], None]) -> AsyncIterator[str]:
    """A server whose models are ready; yields 'HOST:PORT'. On exit: refuse, drain, then engine, decoders and threads."""
    # The parallelism is ours, picture by picture; OpenCV's own pool would only compete with the models for the cores.
    cv2.setNumThreads(1)
    metrics = Metrics()
    models = read_lock(settings.model_repository)
    required = {model for task in registry.TASKS if not task.optional for model in task.models}
    if missing := sorted(required - models.keys()):
        raise ModelLockError(
            f"{settings.model_repository} lacks {', '.join(missing)}: run `imagier models install` first"
        )
    tasks = registry.load(settings.model_repository)
    _describe(metrics, models, tasks)
    limits = Limits(settings.in_flight, settings.in_flight_bytes, settings.max_image_bytes, metrics)
    async with AsyncExitStack() as stack:
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
        tracing = _tracing(settings.traces, stack) if settings.traces else None
        headers = tracing.headers if tracing else tuple
        engines = await stack.enter_async_context(
            Engines(
                models,
                lambda address: TritonEngine(address, models, metrics, headers),
                # A picture has a few inferences under way at once, and all of them may be on the engine that dies.
                RetryBudget(settings.engine_retry_percent, burst=4 * settings.in_flight),
                metrics,
            )
        )
        if settings.engine == EMBEDDED:
            await stack.enter_async_context(_embedded(settings, tuple(models), engines, on_engine_lost))
        else:
            await stack.enter_async_context(
                following(
                    Resolver(parse(settings.engine)),
                    engines.use,
                    seconds=settings.engine_resolve_seconds,
                    again=engines.troubled,
                )
            )
        http, _ = start_http_server(settings.metrics_port, settings.host, registry=metrics.registry)
        stack.callback(http.server_close)
        stack.callback(http.shutdown)
        lag = asyncio.create_task(_watch_event_loop(metrics))
        stack.callback(lag.cancel)

        pipeline = Pipeline(
            tasks=tasks,
            keywords=registry.keywords(tasks),
            models={
                role: ModelReference(role, model.full_version, model.research_only) for role, model in models.items()
            },
            limits=limits,
            decoder=decoders,
            engine=engines,
            threads=threads,
            metrics=metrics,
            deadline_seconds=settings.deadline_seconds,
            stream_in_flight=settings.stream_in_flight,
            span=tracing.span if tracing else nullcontext,
        )
        service = AnnotatorService(
            pipeline,
            lambda: catalog(version("imagier"), tasks.values(), models, engines.ready, settings),
            tracing.parent if tracing else nullcontext,
        )
        # Who comes to an open door should not be told that there is no engine because nobody has looked yet.
        with suppress(TimeoutError):
            async with asyncio.timeout(None if settings.engine == EMBEDDED else _REMOTE_READY_SECONDS):
                await engines.wait_ready(models)
        server = await stack.enter_async_context(
            listening(
                (settings.host, settings.port),
                service,
                lambda: all(engines.ready.get(model, False) for model in models),
                image_bytes=settings.max_image_bytes,
                connection_streams=settings.connection_streams,
                grace=settings.drain_seconds,
            )
        )
        stack.callback(limits.drain)
        yield f"{settings.host}:{server.port}"


def _tracing(collector: str, stack: AsyncExitStack) -> Tracing:
    try:
        from imagier_server.tracing import to_collector  # noqa: PLC0415 - an extra that most installations lack
    except ImportError as error:
        raise ImportError("traces are asked for: install imagier[tracing]") from error
    tracing = to_collector(collector)
    stack.push_async_callback(asyncio.to_thread, tracing.close)
    return tracing


@asynccontextmanager
async def _embedded(
    settings: Settings, models: Sequence[str], engines: Engines, on_lost: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    """Keeps the embedded Triton running: one that ends is started again, and callers are told to retry meanwhile."""
    started = asyncio.get_running_loop().create_future()

    def progress(text: str) -> None:
        log(logging.INFO, "engine", progress=text)

    async def keep() -> None:
        try:
            while True:
                async with embedded.start(
                    settings.model_repository, settings.engine_log_dir, models, progress
                ) as triton:
                    engines.use({triton.grpc_address})
                    if not started.done():
                        started.set_result(None)
                    status = await triton.wait()
                    engines.use(())
                log(logging.ERROR, "the embedded Triton ended and is started again", status=status)
        except Exception as error:  # noqa: BLE001 - a full disk as well as Triton itself: without an engine there is no server
            if started.done():
                on_lost(error)
            else:
                started.set_exception(error)

    keeper = asyncio.create_task(keep())
    try:
        await started
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


def _describe(metrics: Metrics, models: Mapping[str, LockedModel], tasks: Mapping[str, Task[Any, Any]]) -> None:
    """What is known before the first request: build, models, and every series at zero."""
    metrics.build.info({"version": version("imagier"), "python": platform.python_version()})
    for model in models.values():
        metrics.models.labels(model.role, model.full_version, model.source_digest[:12]).set(1)
    metrics.zero(tasks, models, (lane.name.lower() for lane in Lane), causes())


async def _watch_event_loop(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL
        await asyncio.sleep(_LAG_INTERVAL)
        metrics.event_loop_tasks.set(len(asyncio.all_tasks()))
        metrics.event_loop_lag.observe(max(0.0, loop.time() - due))


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        # A second signal means now; the embedded Triton and the decoders end with us.
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


def _stop_on_end_of_input(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            stopping.set()

    loop.add_reader(sys.stdin, read)
