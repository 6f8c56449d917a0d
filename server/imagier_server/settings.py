# SPDX-License-Identifier: Apache-2.0
"""All settings of the server: type, default, environment variable (IMAGIER_…), flag and help in one declaration each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from imagier_server import endpoints, moving_windows
from imagier_server.cores import usable_cores

MIB = 1 << 20


class Settings(BaseSettings):
    """Settings of `imagier serve`. A flag overrides the environment, the environment overrides the default."""

    model_config = SettingsConfigDict(
        env_prefix="IMAGIER_",
        frozen=True,
        extra="forbid",
        cli_prog_name="imagier serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
    )

    host: Annotated[
        str,
        AfterValidator(endpoints.listen_host),
        Field(
            description="Address to listen on, or unix:PATH for a socket that its owner and group may use."
            " Beyond loopback only with 'ledger', 'tls_client_ca' or 'insecure_open'."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="gRPC port; 0 picks a free one.")] = 8500
    tls_certificate: Annotated[
        Path | None,
        Field(description="PEM certificate chain for TLS, read again when it changes. Default: no TLS."),
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM key of 'tls_certificate', without a passphrase.")] = None
    tls_client_ca: Annotated[
        Path | None,
        Field(description="PEM certificates: callers must show a certificate that one of them has signed (mTLS)."),
    ] = None
    insecure_open: Annotated[
        bool,
        Field(description="Listen beyond loopback although anyone who reaches the port may call."),
    ] = False
    metrics_host: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.listen_host(text)),
        Field(description="Address of /metrics, or unix:PATH. Default: 'host', or 127.0.0.1 if that is a socket."),
    ] = None
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of /metrics for Prometheus; 0 picks a free one.")
    ] = 8501

    http: Annotated[
        bool, Field(description="Listen for HTTP too. Needs the extra http; without it the server says so and goes on.")
    ] = True
    http_host: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.listen_host(text)),
        Field(description="Address for HTTP, or unix:PATH. Default: 'host', or 127.0.0.1 if that is a socket."),
    ] = None
    http_port: Annotated[int, Field(ge=0, le=65535, description="HTTP port; 0 picks a free one.")] = 8502
    http_page: Annotated[bool, Field(description="The page at / of HTTP, to try the server on in a browser.")] = True
    http_facades: Annotated[
        str,
        Field(description="APIs of other programs that HTTP offers: names separated by commas, 'all', or '' for none."),
    ] = "openai,ollama,photoprism"
    immich_upstream: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.web(text)),
        Field(repr=False, description="URL of a native Immich machine learning, for what ours lacks. Default: none."),
    ] = None
    immich_seconds: Annotated[float, Field(gt=0, description="Time limit of 'immich_upstream', in seconds.")] = 120.0
    http_origins: Annotated[
        str | None,
        Field(
            description="Web pages that may call HTTP from a browser (CORS): origins such as https://example.org, separated by"
            " commas, or *. Default: none but our own."
        ),
    ] = None
    http_metrics: Annotated[bool, Field(description="Serve /metrics on the HTTP port, too, without a key.")] = False
    http_fetch: Annotated[
        bool, Field(description="Callers of HTTP may name a picture by its URL. Public https addresses only.")
    ] = False
    http_fetch_plain: Annotated[bool, Field(description="Fetch http:// URLs, too.")] = False
    http_fetch_networks: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.networks(text)),
        Field(
            description="Networks that pictures may be fetched from although they are not public, as in"
            " 10.1.0.0/16,fd00::/8. Default: none."
        ),
    ] = None
    http_fetch_seconds: Annotated[
        float, Field(gt=0, description="Time limit for fetching one picture, in seconds.")
    ] = 10.0

    engine: Annotated[
        str,
        AfterValidator(endpoints.engines),
        Field(
            description="'embedded', or the gRPC addresses of running Tritons: HOST:PORT, separated by commas."
            " Each address that a name resolves to is one Triton.",
        ),
    ] = "embedded"
    engine_resolve_seconds: Annotated[
        float,
        Field(gt=0, description="Seconds between DNS look-ups of 'engine'; a failing Triton triggers one at once."),
    ] = 5.0
    engine_retry_percent: Annotated[
        int,
        Field(
            ge=0, le=100, description="Retry budget: retries as a percentage of recent inferences; 0 disables retries."
        ),
    ] = 20
    model_repository: Annotated[Path, Field(description="Triton's model repository, with models.lock and assets.")] = (
        Path("model_repository")
    )
    model_overlay: Annotated[
        Path | None,
        Field(description="What `imagier tune` wrote. Default: 'model_repository' plus .overlay, if it is there."),
    ] = None
    engine_log_dir: Annotated[
        Path | None,
        Field(description="Folder for the logs of the embedded Triton. Default: a private temporary folder."),
    ] = None

    max_image_bytes: Annotated[int, Field(ge=1024, le=512 * MIB, description="Largest picture file, in bytes.")] = (
        32 * MIB
    )
    max_image_pixels: Annotated[int, Field(ge=1, description="Largest number of pixels, width times height.")] = (
        220_000_000
    )
    max_image_side: Annotated[int, Field(ge=1, le=65535, description="Longest side of a picture, in pixels.")] = 65_535

    in_flight: Annotated[int, Field(ge=1, le=4096, description="Pictures in flight; further calls are refused.")] = 64
    in_flight_bytes: Annotated[int, Field(ge=MIB, description="Bytes of picture files in flight.")] = 512 * MIB
    receive_bytes: Annotated[
        int,
        Field(ge=MIB, description="Bytes of requests being received; beyond it, uploads pause or are ended."),
    ] = 192 * MIB
    receive_seconds: Annotated[
        float, Field(gt=0, description="Time limit for receiving the request of a unary call, in seconds.")
    ] = 60.0
    connections: Annotated[int, Field(ge=1, le=65535, description="Open connections; further ones are closed.")] = 1024
    stream_in_flight: Annotated[int, Field(ge=1, le=1024, description="Pictures of one stream in flight.")] = 16
    tickets: Annotated[int, Field(ge=1, le=100_000, description="Open tickets: Piwigo's pictures to be read.")] = 1000
    ticket_bytes: Annotated[int, Field(ge=MIB, description="Bytes of picture files of open tickets.")] = 512 * MIB
    batch_wait_seconds: Annotated[
        float, Field(ge=0, description="Seconds that calls wait for room whose program sends a batch at once; 0: none.")
    ] = 45.0
    bulk_ahead: Annotated[
        float,
        Field(
            ge=0,
            description="Bound on bulk work in Triton while interactive calls arrive, in multiples of a model's inference time;"
            " 0 for no bound.",
        ),
    ] = 2.0
    connection_streams: Annotated[int, Field(ge=1, le=4096, description="HTTP/2 streams on one connection.")] = 256

    decoders: Annotated[int, Field(ge=1, le=256, description="Decoder processes.")] = Field(
        default_factory=usable_cores
    )
    decode_seconds: Annotated[
        float, Field(gt=0, description="CPU time that decoding one picture may take, in seconds.")
    ] = 20.0
    decode_memory: Annotated[
        int, Field(ge=256 * MIB, description="Address space of one decoder process, in bytes.")
    ] = 2048 * MIB
    compute_threads: Annotated[int, Field(ge=1, le=256, description="Threads for pre- and post-processing.")] = Field(
        default_factory=usable_cores
    )

    quota_pictures: Annotated[
        str | None,
        AfterValidator(moving_windows.checked),
        Field(
            description="Pictures in a moving window for each key that has no limit of its own (without keys: each"
            " address), such as '500 per 4 hours'; several separated by ';'. Default: no limit."
        ),
    ] = None
    quota_in_flight: Annotated[
        int, Field(ge=0, description="Pictures in flight for each key that has no limit of its own; 0 for no limit.")
    ] = 0
    quota_in_flight_bytes: Annotated[
        int,
        Field(ge=0, description="Bytes in flight for each key without a limit of its own; 0 for no limit."),
    ] = 0
    quota_total_pictures: Annotated[
        str | None,
        AfterValidator(moving_windows.checked),
        Field(description="Pictures in a moving window for all callers together. Default: no limit."),
    ] = None
    quota_store: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.quota_store(text)),
        Field(
            repr=False,
            description="valkey://[USER:PASSWORD@]HOST:PORT[/DB], or redis://, valkeys://, rediss://: where several"
            " gateways count the moving windows together. Default: each counts by itself, in memory.",
        ),
    ] = None

    deadline_seconds: Annotated[
        float, Field(gt=0, description="Deadline of a unary call that sets none, in seconds.")
    ] = 60.0
    stream_deadline_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Deadline of a picture on a stream that sets none, in seconds from the start of decoding.",
        ),
    ] = 1800.0
    prices: Annotated[
        Path | None,
        Field(description="TOML or JSON file of credits by task, as in: ocr = 2. Default: each task's own price."),
    ] = None
    usage_events: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.usage_sink(text)),
        Field(
            description="Where an event goes for each charged task of a picture (CloudEvents): a file's path, or an http(s) URL."
            " Default: nowhere."
        ),
    ] = None
    usage_events_token: Annotated[
        Path | None, Field(description="File with the bearer token for the URL of 'usage_events'.")
    ] = None
    receipt_key: Annotated[
        Path | None,
        Field(
            description="Ed25519 key (PEM) that signs processing receipts, by `imagier receipt keygen`. Default: no receipts."
        ),
    ] = None
    reflection: Annotated[bool, Field(description="gRPC server reflection, for tools such as grpcurl.")] = True
    drain_seconds: Annotated[float, Field(ge=0, description="Seconds for requests in flight at a shutdown.")] = 15.0
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")
    ] = "info"

    ledger: Annotated[
        str | None,
        Field(
            description="Keys and credits: a SQLite file, or postgresql://USER@HOST/NAME."
            " Default: none; callers need no key."
        ),
    ] = None

    traces: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else endpoints.collector(text)),
        Field(description="[https://]HOST:PORT of an OpenTelemetry collector (OTLP over gRPC). Default: no traces."),
    ] = None

    ready_fd: Annotated[
        int | None,
        Field(
            description="File descriptor that receives the address ('HOST:PORT', '[IPV6]:PORT', 'unix:PATH') once ready."
        ),
    ] = None
    exit_with_parent: Annotated[bool, Field(description="Shut down when standard input closes.")] = False

    @property
    def anyone_may_call(self) -> bool:
        """Whether callers need neither a key nor a certificate."""
        return self.tls_client_ca is None and self.ledger is None

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("--tls-certificate and --tls-key belong together: give both or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("--tls-client-ca needs a server with TLS: give --tls-certificate and --tls-key, too")
        hosts = {"--host": self.host} | ({"--http-host": self.http_host} if self.http and self.http_host else {})
        for flag, host in hosts.items():
            self._check_exposure(flag, host)
        return self

    def _check_exposure(self, flag: str, host: str) -> None:
        if self.anyone_may_call and not self.insecure_open and not endpoints.is_local(host):
            raise ValueError(
                f"{flag} {host} would let anyone who reaches it call: require keys (--ledger) or"
                " client certificates (--tls-client-ca), listen on 127.0.0.1 or a Unix socket, or say"
                " --insecure-open if something else keeps strangers out"
            )


class UnusableFileError(ValueError):
    """A file that a setting names cannot be used."""
