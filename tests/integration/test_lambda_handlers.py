"""Handlers in the shape of AWS Lambda: from a zip or a folder, in executors of an embedded cluster.

And of our worker for ArmoniK, which may have another Python: ``PYMONIK_OTHER_PYTHON`` names it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import (
    ArgumentsError,
    LocalCluster,
    Pymonik,
    Task,
    TaskTimeoutError,
    UsageError,
    WorkerLostError,
    task,
)
from pymonik.errors import DependencyFailedError, SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pymonik.tasks.lambdas import LambdaTask

TIMEOUT_S = 50.0

HANDLER = """
import os, sys, time
from decimal import Decimal
import shared
calls = 0

class Rejected(Exception):
    def __init__(self, trade, *, why):
        super().__init__(trade)
        self.why = why

def handler(event, context):
    global calls
    calls += 1
    what = event["what"]
    if what == "context":
        return {
            "id": context.aws_request_id, "name": context.function_name,
            "version": context.function_version, "arn": context.invoked_function_arn,
            "mb": context.memory_limit_in_mb, "group": context.log_group_name,
            "stream": context.log_stream_name, "left": context.get_remaining_time_in_millis(),
            "identity": context.identity.cognito_identity_id,
            "client": context.client_context and [context.client_context.custom,
                                                  context.client_context.client.app_title],
            "task": context.pymonik.task_id,
            "variables": [os.environ["AWS_LAMBDA_FUNCTION_NAME"], os.environ["_HANDLER"]],
            "root": os.environ["LAMBDA_TASK_ROOT"] == os.getcwd() == os.path.dirname(__file__),
        }
    if what == "count": return {"calls": calls, "pid": os.getpid()}
    if what == "version": return shared.VERSION
    if what == "keys": return list(event["value"])
    if what == "echo": return event["value"]
    if what == "data": return open("data.txt").read()
    if what == "raise": raise KeyError("price")
    if what == "own": raise Rejected("trade 7", why="too late")
    if what == "set": return {1, 2}
    if what == "decimal": return {"n": Decimal("1.5"), "m": Decimal(3)}
    if what == "nan": return [float("nan"), 10**30]
    if what == "die": os._exit(9)
    if what == "sleep": time.sleep(event["s"]); return event["s"]
    if what == "exit": sys.exit(3)
    return what

async def later(event, context): return event
def none(event, context): pass
"""


def bundle(path: Path, **sources: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in sources.items():
            archive.writestr(f"{name.replace('__', '/')}.py", source)
        archive.writestr("data.txt", "of the zip")
    return path


@pytest.fixture(scope="module", params=["embedded", "worker"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    python = os.environ.get("PYMONIK_OTHER_PYTHON", sys.executable)
    worker = [python, "-m", "pymonik.worker"] if request.param == "worker" else None
    with LocalCluster(workers=2, worker=worker) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster, on_unseen="ignore") as client:
        yield client


@pytest.fixture
def engine(tmp_path: Path) -> LambdaTask:
    path = bundle(tmp_path / "v1.zip", engine=HANDLER, shared="VERSION = 1")
    return Task.from_lambda(path, "engine.handler", max_duration=30, max_retries=1)


def value(engine: LambdaTask, what: str, **more: Any) -> Any:
    return engine.invoke({"what": what, **more}).get(timeout=TIMEOUT_S)


@pytest.mark.usefixtures("client")
def test_the_context_has_all_that_aws_gives(engine: LambdaTask) -> None:
    call = engine.invoke(
        {"what": "context"},
        pmk_client_context={"custom": {"a": 1}, "client": {"app_title": "desk"}},
        memory="600M",
    )
    found = call.get(timeout=TIMEOUT_S)
    assert found["name"] == "handler"
    assert found["arn"].endswith(f":handler:{found['version']}")
    assert found["mb"] == 600
    assert found["group"] == "/pymonik/handler"
    assert found["stream"] == found["task"] == call.task_id
    assert 0 < found["left"] <= 30_000
    assert found["identity"] is None
    assert found["client"] == [{"a": 1}, "desk"]
    assert found["variables"] == ["handler", "engine.handler"]
    assert found["root"]
    assert engine.invoke({"what": "context"}).get(timeout=TIMEOUT_S)["client"] is None


@pytest.mark.usefixtures("client")
def test_the_context_of_the_client_and_keys_are_as_json_has_them(engine: LambdaTask) -> None:
    custom = {"rate": Decimal("1.5"), "count": 10**30, "of": {7: [1]}}
    answer = engine.invoke({"what": "context"}, pmk_client_context={"custom": custom})
    found = answer.get(TIMEOUT_S)["client"][0]
    assert found == {"rate": 1.5, "count": 10**30, "of": {"7": [1]}}
    inner = engine.invoke({"what": "echo", "value": 5})
    event = {"what": "keys", "value": {7: inner, None: 1}}
    assert engine.invoke(event).get(TIMEOUT_S) == ["7", "null"]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("chunk_size", [1, 10])
def test_each_call_has_an_id_of_its_own_in_chunks_too(engine: LambdaTask, chunk_size: int) -> None:
    run = engine.map_invoke([{"what": "context"}] * 20, chunk_size=chunk_size)
    found = run.get(timeout=TIMEOUT_S)
    assert len({one["id"] for one in found}) == 20


@pytest.mark.usefixtures("client")
def test_a_module_stays_and_another_zip_is_another_process(
    engine: LambdaTask, tmp_path: Path
) -> None:
    counts = [value(engine, "count") for _ in range(6)]
    pids = {one["pid"] for one in counts}
    assert sorted(one["calls"] for one in counts)[-1] >= 6 / len(pids)
    path = bundle(tmp_path / "v2.zip", engine=HANDLER, shared="VERSION = 2")
    newer = Task.from_lambda(path, "engine.handler")
    for _ in range(3):
        assert [value(engine, "version"), value(newer, "version")] == [1, 2]
    assert value(newer, "count")["pid"] not in pids
    bundle(path, engine=HANDLER, shared="VERSION = 3")  # under the same path
    assert value(newer, "version") == 3


WRITER = """
import os
import shared
def tried(what, *args):
    try:
        what(*args)
    except OSError as error:
        return error.errno
def write(path, mode): open(path, mode).close()
def handler(event, context):
    root, folder = os.environ["LAMBDA_TASK_ROOT"], os.path.dirname(__file__)
    return [
        tried(write, "new.txt", "w"), tried(write, os.path.join(root, "other.txt"), "w"),
        tried(write, os.path.join(folder, "shared.py"), "a"), tried(write, "data.txt", "r+"),
        tried(os.unlink, "data.txt"), tried(os.rename, "data.txt", "moved.txt"),
        tried(os.mkdir, "folder"), os.system("echo >> data.txt 2> /dev/null"),
    ]
def look(event, context):
    return [sorted(one for one in os.listdir(".") if one != "__pycache__"), open("data.txt").read()]
"""


@pytest.mark.usefixtures("client")
def test_nobody_writes_into_the_zip_that_others_share(tmp_path: Path) -> None:
    path = bundle(tmp_path / "w.zip", engine=WRITER, shared="")
    writes, looks = (Task.from_lambda(path, f"engine.{name}") for name in ("handler", "look"))
    before = looks.invoke(None).get(TIMEOUT_S)
    assert all(writes.invoke(None).get(TIMEOUT_S))
    assert looks.map_invoke([None] * 6, chunk_size=1).get(TIMEOUT_S) == [before] * 6
    assert before == [["data.txt", "engine.py", "shared.py"], "of the zip"]


@pytest.mark.usefixtures("client")
def test_functions_and_handlers_do_not_share_an_executor(engine: LambdaTask) -> None:
    @task
    def has_it() -> bool:
        import importlib.util

        return importlib.util.find_spec("engine") is not None

    handles: list[Any] = []
    for _ in range(10):  # short ones, that are sent ahead of each other
        handles += [engine.invoke({"what": "version"}), has_it.invoke()]
    assert [one.get(timeout=TIMEOUT_S) for one in handles] == [1, False] * 10


@pytest.mark.usefixtures("client")
def test_events_and_answers_are_json(engine: LambdaTask) -> None:
    event = {"a": [1, 2.5, None, True, "ü\ud83d\ude00"], "n": 10**25, "deep": {"x": {"y": []}}}
    assert value(engine, "echo", value=event) == json.loads(json.dumps(event))
    assert value(engine, "decimal") == {"n": 1.5, "m": 3}
    number, large = value(engine, "nan")
    assert number != number
    assert large == 10**30
    with pytest.raises(SerializationError, match="the answer of the handler: a set has no form"):
        value(engine, "set")
    with pytest.raises(SerializationError, match=r"the event\['value'\]\[1\]: a bytes has no form"):
        engine.invoke({"what": "echo", "value": [1, b"x"]})
    with pytest.raises(SerializationError, match=r"the event\['value'\] has a key of type tuple"):
        engine.invoke({"what": "echo", "value": {(1, 2): 3}})
    with pytest.raises(SerializationError, match=r"item 1: the event"):
        engine.map_invoke([{"what": "x"}, {"what": object()}])
    with pytest.raises(ArgumentsError, match="client_context"):
        engine.invoke({}, pmk_client_context="desk")


@pytest.mark.usefixtures("client")
def test_each_item_of_a_map_is_an_event_whatever_it_is(tmp_path: Path) -> None:
    path = bundle(tmp_path / "z.zip", m="def same(event, context): return event")
    same = Task.from_lambda(path, "m.same")
    events: list[Any] = [{"event": 1}, {}, [1, 2], "text", None, 3, {"what": {"event": 2}}]
    assert same.map_invoke(events).get(timeout=TIMEOUT_S) == events


@pytest.mark.usefixtures("client")
def test_values_of_other_calls_may_stand_in_events(engine: LambdaTask) -> None:
    first = engine.invoke({"what": "echo", "value": {"trades": [1, 2]}})
    second = engine.invoke({"what": "echo", "value": [first, {"again": first}, 5]})
    inner = {"trades": [1, 2]}
    assert second.get(timeout=TIMEOUT_S) == [inner, {"again": inner}, 5]

    @task
    def event() -> dict[str, str]:
        return {"what": "version"}

    assert engine.invoke(event.invoke()).get(timeout=TIMEOUT_S) == 1
    failed = engine.invoke({"what": "echo", "value": engine.invoke({"what": "raise"})})
    assert isinstance(failed.exception(timeout=TIMEOUT_S), KeyError | DependencyFailedError)
    many = engine.map_invoke([{"what": "echo", "value": i} for i in range(5)], chunk_size=5)
    both = engine.invoke({"what": "echo", "value": many})
    assert both.get(timeout=TIMEOUT_S) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("chunk_size", [1, 5])
def test_each_call_fails_as_itself(engine: LambdaTask, chunk_size: int) -> None:
    whats = ["version", "raise", "own", "die", "exit", "version"]
    run = engine.map_invoke([{"what": what} for what in whats], chunk_size=chunk_size)
    errors = run.exceptions(timeout=TIMEOUT_S)
    assert [errors[0], errors[5]] == [None, None]
    assert isinstance(errors[1], KeyError)
    assert "Rejected" in f"{type(errors[2]).__name__}{errors[2]}"
    assert "trade 7" in str(errors[2])
    assert isinstance(errors[3], WorkerLostError)
    assert "exit code 9" in str(errors[3])
    assert "sys.exit(3)" in str(errors[4])


@pytest.mark.usefixtures("client")
def test_a_time_limit_ends_a_handler(engine: LambdaTask) -> None:
    late = engine.invoke({"what": "sleep", "s": 60}, pmk_max_duration=1)
    with pytest.raises(TaskTimeoutError):
        late.get(timeout=TIMEOUT_S)
    assert value(engine, "version") == 1


@pytest.mark.usefixtures("client")
def test_a_folder_is_packed_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "core.py").write_text(
        "import subprocess, os\n"
        "async def later(event, context):\n"
        "    tool = os.path.join(os.environ['LAMBDA_TASK_ROOT'], 'tool.sh')\n"
        "    return [event, subprocess.run([tool], capture_output=True, text=True).stdout]\n"
    )
    (folder / "tool.sh").write_text("#!/bin/sh\necho tool\n")
    (folder / "tool.sh").chmod(0o755)
    one = Task.from_lambda(folder, "pkg/core.later", name="later-desk")
    two = Task.from_lambda(str(folder), "pkg.core.later")
    assert one.packed().files[0].ref.digest == two.packed().files[0].ref.digest
    assert one.invoke({"a": 1}).get(timeout=TIMEOUT_S) == [{"a": 1}, "tool\n"]
    assert one.name == "later-desk"
    (folder / "pkg" / "core.py").write_text("def later(event, context): return 'new'\n")
    assert Task.from_lambda(folder, "pkg.core.later").invoke(0).get(timeout=TIMEOUT_S) == "new"


@pytest.mark.usefixtures("client")
def test_a_handler_that_cannot_be_imported_is_told_and_others_go_on(
    engine: LambdaTask, tmp_path: Path
) -> None:
    path = bundle(tmp_path / "z.zip", m="import absent_module\ndef handler(event, context): ...")
    broken = Task.from_lambda(path, "m.handler")
    for _ in range(2):
        with pytest.raises(ImportError, match=r"handler 'm\.handler' cannot be imported.*absent"):
            broken.invoke({}).get(timeout=TIMEOUT_S)
    hidden = bundle(tmp_path / "y.zip", m="globals()['other'] = 3")
    with pytest.raises(AttributeError, match="has no handler 'handler'"):
        Task.from_lambda(hidden, "m.handler").invoke({}).get(timeout=TIMEOUT_S)
    assert value(engine, "data") == "of the zip"


def test_a_plain_call_runs_here_and_leaves_the_modules_of_the_program(
    engine: LambdaTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared.py").write_text("VERSION = 'of the program'")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shared  # type: ignore[import-not-found]

    assert engine({"what": "version"}) == 1
    assert engine({"what": "echo", "value": (1, 2)}, None) == [1, 2]
    with pytest.raises(KeyError, match="price"):
        engine({"what": "raise"})
    import shared as again

    assert again is shared
    assert again.VERSION == "of the program"


def _link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


@pytest.mark.parametrize(
    ("fill", "handler", "said"),
    [
        (lambda archive: archive.writestr("../x.py", ""), "m.handler", "leads out of it"),
        (lambda archive: archive.writestr("/x.py", ""), "m.handler", "leads out of it"),
        (_link, "m.handler", "which is no plain file"),
        (lambda archive: archive.writestr("m.py", ""), "m.handler", "has no handler 'handler'"),
        (lambda archive: archive.writestr("m.py", ""), "n.handler", "no module 'n' in it; there"),
        (lambda archive: archive.writestr("m.py", ""), "handler", "is named 'module.function'"),
        (lambda archive: archive.writestr("m.py", ""), 3, "is named 'module.function'"),
        (lambda archive: None, "m.handler", "no module 'm' in it; it is empty"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], None], handler: Any, said: str
) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        fill(archive)
    with pytest.raises(UsageError, match=said):
        Task.from_lambda(tmp_path / "z.zip", handler)


def test_what_is_no_zip_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "z.zip").write_bytes(b"no zip")
    with pytest.raises(UsageError, match=r"z.zip: this is no zip"):
        Task.from_lambda(tmp_path / "z.zip", "m.handler")
    with pytest.raises(UsageError, match="there is no such file"):
        Task.from_lambda(tmp_path / "absent.zip", "m.handler")
    with pytest.raises(ArgumentsError, match="did you mean max_duration"):
        Task.from_lambda(tmp_path / "absent.zip", "m.handler", timeout=3)
