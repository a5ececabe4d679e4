"""A control plane of the embedded cluster in this process, whose tasks run in a thread here."""

from __future__ import annotations

import collections
import contextlib
import importlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.services.direct import DirectServer
from pymonik.cluster.services.embedded import EmbeddedService
from pymonik.cluster.services.public_api import add_services
from pymonik.cluster.services.server import make_server
from pymonik.cluster.state.rows import Partition
from pymonik.cluster.state.work import Assignment, Failed, Outcome, Start, Stopped, Succeeded
from pymonik.cluster.storage import Storage
from pymonik.code import codec, opened_result, packed_function
from pymonik.code.failure import describe
from pymonik.code.references import Referable
from pymonik.errors import PymonikError
from pymonik.executor.nonces import nonce_of
from pymonik.options import TaskOptions
from pymonik.session.protocol import Submission
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.control_plane import ControlPlane as RemoteControlPlane
from pymonik.transport.direct import DirectChannel
from pymonik.transport.opening import open_session
from pymonik.wire import containers
from pymonik.wire.call import FunctionRef, PayloadMeta
from pymonik.wire.environment import Environment
from pymonik.wire.error_text import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymonik.session.result import ResultState

WAIT_S = 20.0


class Handle(Referable):
    """As little of a handle as the codec needs."""

    def __init__(self, state: ResultState) -> None:
        self._state = state


class Counter(grpc.ServerInterceptor):
    """Counts requests by name; `on` is called before one is served."""

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()
        self.on: Callable[[str], None] = lambda _: None

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        self.calls[name] += 1
        self.on(name)
        return continuation(details)


class CountingServer(DirectServer):
    """The same for requests without gRPC."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def _handler(self, method: str) -> Any:
        name = method.rpartition("/")[2]
        self._counter.calls[name] += 1
        self._counter.on(name)
        return super()._handler(method)


class InlineCluster:
    """Everything but processes; `stop_server` and `start_server` cut and restore connections."""

    shares_paths = True  # as `LocalCluster` has it

    def __init__(self, folder: Path, *, is_direct: bool = False) -> None:
        self.direct_socket = folder / "direct.sock"
        self.is_direct = is_direct
        self.storage_folder = folder / "storage"
        self.counter = Counter()
        storage = Storage(self.storage_folder)
        self._state = LockedState(
            [Partition("pymonik"), Partition("gpu")],
            storage,
            default_partition="pymonik",
        )
        self.control_plane = ControlPlane(self._state, storage)
        self._dispatch = Dispatch(self._state, storage)
        self.endpoint = f"unix:{folder}/socket"
        self.held = threading.Event()  # cleared: tasks wait
        self.held.set()
        self._runner: threading.Thread | None = None
        self._stop = threading.Event()
        self._server: Any = None
        self.start_server()

    def start_server(self) -> None:
        self._server = make_server(self.control_plane)
        # The server takes interceptors when it is made; ours must not change that of others.
        interceptors: Any = importlib.import_module("grpc._interceptor")
        pipeline = interceptors.service_pipeline((self.counter,))
        self._server._state.interceptor_pipeline = pipeline
        self._server.add_insecure_port(self.endpoint)
        self._server.start()
        self._direct = CountingServer(self.counter)
        add_services(self.control_plane, self._direct)
        self._direct.add_generic_rpc_handlers((EmbeddedService(self.control_plane),))
        self.direct_socket.unlink(missing_ok=True)
        self._direct.start(self.direct_socket)

    def stop_server(self) -> None:
        self._server.stop(None).wait(WAIT_S)
        self._direct.stop()

    def open_channel(self) -> Any:
        channel = open_channel(ClusterConfig(self.endpoint))
        return DirectChannel(self.direct_socket, lambda: channel) if self.is_direct else channel

    def allow_priority(self, most: int) -> None:
        """Refuse tasks of a higher one from now on."""
        with self._state.changing as (state, _):
            state.max_priority = most

    def start_runner(self) -> None:
        self._runner = threading.Thread(target=self._run, name="runner", daemon=True)
        self._runner.start()

    def close(self) -> None:
        self._stop.set()
        self.held.set()
        self._state.close()
        self.stop_server()
        if self._runner is not None:
            self._runner.join(WAIT_S)

    def _run(self) -> None:
        while task := self._dispatch.acquire(
            "pymonik", pod_id="pod", hostname="pod", on_cancel=lambda _: None
        ):
            self.held.wait()
            if self._dispatch.start(task.task_id, pod_id="pod") is Start.RUN:
                self._dispatch.finish(task.task_id, self._outcome(task))

    def _outcome(self, task: Assignment) -> Outcome:
        if self._stop.is_set():
            return Stopped()
        try:
            value = _call(task)
        except Exception as error:  # noqa: BLE001 - as a worker does
            return Failed(error_text(describe(error), nonce_of(_input(task, task.payload_id))))
        data = b"".join(opened_result.join_value(codec.pack(value)))
        return Succeeded(data={task.expected_output_ids[0]: data})


def _input(task: Assignment, result_id: str) -> bytes:
    return task.data.get(result_id) or Path(task.files[result_id]).read_bytes()


def _call(task: Assignment) -> Any:
    meta, blobs = containers.split(_input(task, task.payload_id))
    assert isinstance(meta, PayloadMeta)
    assert isinstance(meta.function, FunctionRef)
    function = packed_function.load_function(_input(task, meta.function.result_id))
    refs = meta.calls[0].refs

    def slot(number: int) -> object:
        ref = refs[number]
        return opened_result.OpenedResult(_input(task, ref.result_id)).value(ref.item)

    args, kwargs = codec.unpack(blobs, slot)
    return function(*args, **kwargs)


@pytest.fixture(params=["gRPC", "direct"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InlineCluster]:
    """Without a runner: call ``start_runner`` to have tasks run."""
    one = InlineCluster(tmp_path_factory.mktemp("c"), is_direct=request.param == "direct")
    yield one
    one.close()


class Connection:
    """A session with shortcuts."""

    def __init__(self, cluster: InlineCluster, **settings: Any) -> None:
        channel = cluster.open_channel()
        self.plane = RemoteControlPlane(
            channel, endpoint=cluster.endpoint, timeout_s=5.0, is_direct=cluster.is_direct
        )
        self.channel = channel
        options = TaskOptions()
        settings.setdefault("environment", Environment())
        if cluster.is_direct:
            settings.setdefault("direct_socket", cluster.direct_socket)
        self.session = open_session(
            self.plane, self.plane.create_session(options, []), options=options, **settings
        )

    def invoke(self, function: Any, *args: object, **options: Any) -> ResultState:
        packed = packed_function.pack_function(function, function.__name__)
        call = codec.pack_call(args, {})
        return self.session.submit(Submission(packed, [call], TaskOptions(**options)))[0]

    def get(self, state: ResultState) -> Any:
        self.session.wait([state], WAIT_S)
        if state.error is not None:
            raise state.error
        return self.session.fetch([state])[0].value()

    def close(self) -> None:
        with contextlib.suppress(PymonikError):  # the server may be stopped
            self.session.cancel_all()
        self.channel.close()


@pytest.fixture
def connect(cluster: InlineCluster) -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def make(**settings: Any) -> Connection:
        opened.append(Connection(cluster, **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def handle() -> type[Handle]:
    return Handle
