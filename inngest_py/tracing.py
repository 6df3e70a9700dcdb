"""OpenTelemetry: one trace per run, from its event through each Celery task to each HTTP call.

It is an optional extra (`otel` in setup.cfg): without the standard OTEL_* variables none of its
packages is imported. The ids of spans are made from those of runs and requests
(`domain.runs.traces`). So a request's `traceparent` names its span whether or not the span is
recorded, and no process has to ask another for the parent.
"""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from blinker import NamedSignal

from . import observe
from .domain.runs import traces
from .version import __version__

_PACKAGES = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
_PORTS = {"http": 80, "https": 443}
_MOST_STEPS = 10  # named by a span: an answer may plan a thousand
_SOON_SECONDS = 2.0  # what a stop may take that has just cut calls off
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(environ: Mapping[str, str]) -> bool:
    """Say whether the standard variables ask for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


def start(environ: Mapping[str, str]) -> Callable[[], None]:
    """Send spans by OTLP over HTTP if the environment asks for it; return a function that stops it.

    Call it in the process that does the work, before it forks.
    """
    if not wanted(environ):
        return _nothing
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        observe.event("tracing.not_installed", level=40, error=str(error), fix=_PACKAGES)
        return _nothing
    spans = make(environ)
    spans.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    spans.connect()
    observe.event("tracing.ready")
    return spans.close


def stop_soon(stop: Callable[[], None]) -> None:
    """Stop as start() has told how, but wait for the collector for two seconds at the most."""
    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    stopping.join(_SOON_SECONDS)


def _nothing() -> None:
    pass


def make(environ: Mapping[str, str]) -> "Spans":
    """Make the object that turns signals into spans; its provider has no exporter yet."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Gives the ids that were set for this thread's next span, otherwise random ones."""

        def __init__(self) -> None:
            self.next = threading.local()

        def generate_span_id(self) -> int:
            span, self.next.span = getattr(self.next, "span", 0), 0
            return span or super().generate_span_id()

        def generate_trace_id(self) -> int:
            trace, self.next.trace = getattr(self.next, "trace", 0), 0
            return trace or super().generate_trace_id()

    name = environ.get("OTEL_SERVICE_NAME") or "inngest-py"
    ids = Ids()
    about = {"service.name": name, "service.version": __version__}
    resource = Resource.create(about | {"host.name": socket.gethostname()})
    return Spans(TracerProvider(resource=resource, id_generator=ids), ids)


class Spans:
    """Turns signals into spans: a run from queue to end, each task's work on it, each call."""

    def __init__(self, provider: Any, ids: Any) -> None:
        from opentelemetry import context, trace

        self.provider, self._ids = provider, ids
        self._trace, self._context = trace, context
        self._tracer = provider.get_tracer("inngest_py", __version__)
        self._open = threading.local()
        self._heard: list[tuple[NamedSignal, observe.Listener]] = [
            (observe.job_started, self._on_job),
            (observe.job_ended, self._on_job_end),
            (observe.call_finished, self._on_call),
            (observe.task_ended, self._on_task),
            (observe.run_finished, self._on_run),
        ]

    def connect(self) -> None:
        """Begin to make spans."""
        for signal, listener in self._heard:
            observe.listen(signal, listener)

    def close(self) -> None:
        """Make no more spans, and send those that are left."""
        for signal, listener in self._heard:
            observe.stop_listening(signal, listener)
        self.provider.shutdown()

    def _on_job(
        self,
        *,
        run_id: str,
        function: str,
        item_id: str,
        kind: str,
        step: str | None,
        attempt: int,
        traceparent: str | None,
        **_: object,
    ) -> None:
        about = _about(run_id, function)
        about |= {"inngest.item_id": item_id, "inngest.attempt": attempt}
        if step is not None:
            about["inngest.step"] = step
        span = self._tracer.start_span(
            f"inngest.{kind}",
            context=self._run_context(run_id, traceparent),
            kind=self._trace.SpanKind.CONSUMER,
            attributes=about,
        )
        token = self._context.attach(self._trace.set_span_in_context(span))
        self._open.task = (span, token)

    def _on_job_end(self, **_: object) -> None:
        span, token = self._open.task
        self._context.detach(token)
        span.end()

    def _on_call(
        self,
        *,
        run_id: str,
        to: str,
        url: str,
        request_id: str,
        started_at: datetime,
        seconds: float,
        status: int | None,
        steps: Sequence[str],
        attempt: int,
        **_: object,
    ) -> None:
        attributes: dict[str, object] = {
            "inngest.run_id": run_id,
            "inngest.to": to,
            "inngest.attempt": attempt,
            **_server(url),
        }
        if steps:
            attributes["inngest.step"] = ", ".join(steps[:_MOST_STEPS])
        if status is not None:
            attributes["http.response.status_code"] = status
        if request_id:
            self._ids.next.span = int(traces.span_id(request_id), 16)
        span = self._tracer.start_span(
            f"POST {to}",
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
            start_time=_ns(started_at),
        )
        if status is None or status >= 400:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(_ns(started_at + timedelta(seconds=seconds)))

    def _on_task(
        self,
        *,
        run_id: str,
        function: str,
        task: str,
        step: str,
        task_id: str,
        attempt: int,
        outcome: str,
        error: str | None,
        sent_at: datetime,
        started_at: datetime | None,
        ended_at: datetime,
        worker: str | None,
        retries: int,
        traceparent: str | None,
        **_: object,
    ) -> None:
        """Make the span of an attempt of a Celery task, from its sending to its answer."""
        attributes = _about(run_id, function) | {
            "inngest.step": step,
            "inngest.attempt": attempt,
            "inngest.outcome": outcome,
            "celery.task_name": task,
            "celery.retries": retries,
            "messaging.system": "celery",
            "messaging.message.id": task_id,
        }
        if worker is not None:
            attributes["celery.hostname"] = worker
        span = self._tracer.start_span(
            f"task {task}",
            context=self._run_context(run_id, traceparent),
            kind=self._trace.SpanKind.PRODUCER,
            attributes=attributes,
            start_time=_ns(sent_at),
        )
        if started_at is not None:
            span.add_event("begun by a worker", timestamp=_ns(started_at))
        if outcome != "completed":
            span.set_status(self._trace.StatusCode.ERROR, error)
        span.end(_ns(ended_at))

    def _on_run(
        self,
        *,
        run_id: str,
        function: str,
        status: str,
        queued_at: datetime,
        traceparent: str | None,
        **_: object,
    ) -> None:
        parent = None
        if traceparent is not None:
            parent = self._parent(int(traceparent[3:35], 16), traceparent[36:52], traceparent[-2:])
        else:
            parent = self._context.Context()  # empty: the task's span is not the parent
            self._ids.next.trace = int(traces.trace_id(run_id, None), 16)
        self._ids.next.span = int(traces.span_id(run_id), 16)
        span = self._tracer.start_span(
            f"run {function}",
            context=parent,
            kind=self._trace.SpanKind.INTERNAL,
            attributes=_about(run_id, function) | {"inngest.status": status},
            start_time=_ns(queued_at),
        )
        if status == "failed":
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def _run_context(self, run_id: str, traceparent: str | None) -> Any:
        """Make the run's span the parent of a task's; both are sampled by the trace id."""
        trace_id = int(traces.trace_id(run_id, traceparent), 16)
        if traceparent is None:
            sampled = self.provider.sampler.should_sample(
                None, trace_id, "run"
            ).decision.is_sampled()
            flags = "01" if sampled else "00"
        else:
            flags = traceparent[-2:]
        return self._parent(trace_id, traces.span_id(run_id), flags)

    def _parent(self, trace_id: int, span_id: str, flags: str) -> Any:
        parent = self._trace.SpanContext(
            trace_id,
            int(span_id, 16),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(int(flags, 16)),
        )
        return self._trace.set_span_in_context(
            self._trace.NonRecordingSpan(parent), self._context.Context()
        )


def _server(url: str) -> dict[str, object]:
    """Return the host and port of a URL; the rest is left out, since it may contain a key."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return {}
    found: dict[str, object] = {} if host is None else {"server.address": host}
    return found if port is None else found | {"server.port": port}


def _about(run_id: str, function: str) -> dict[str, object]:
    return {"inngest.run_id": run_id, "inngest.function": function}


def _ns(when: datetime) -> int:
    """Write a time as nanoseconds of the epoch, without a float's rounding."""
    micros = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return micros * 1000
