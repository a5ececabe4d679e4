"""What travels: the values that client, worker and executor hand to each other.

A *container* (see `pymonik.wire.containers`) holds one of the structs below and the pickles that it
describes. Ids stand in the struct, never inside a pickle, so that whoever submits can fill them in
when it knows them.

Structs that come in thousands are not tracked by the garbage collector (``gc=False``): they hold
nothing that could refer to them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of all heads below; written into each, for those who read files of others.
FORMAT_VERSION: Final = 3
WHOLE: Final = -1  # the item of a reference that means the whole result
# Forms of a value, see `ItemMeta.form`: a pickle with its buffers, a text, a `command_lines.Ran`.
PICKLED: Final = 0
JSON: Final = 1
COMPLETED: Final = 2
# Calls of a chunk at most. There is a byte in a pipe for each (`executor.tokens`), and a pipe of
# any system holds as many, so that offering all of them never blocks.
MOST_CALLS: Final = 4096
NEW: Final = "new:"  # starts the stand-in for the id of a result that a task creates

# Keys of the free map of task options, which ArmoniK's own tools show and can filter by.
FUNCTION_LABEL: Final = "pymonik.function"  # the name of the function that a task runs
RUN_LABEL: Final = "pymonik.run"  # the label of the run that a task belongs to
ENVIRONMENT_LABEL: Final = "pymonik.env"  # the digest of its packages, if it has any
MEMORY_LABEL: Final = "pymonik.memory"  # bytes that a task may use with all that it starts
SESSION_LABEL: Final = "pymonik.session"  # of a session's options: the name that the user gave it
CLIENT_LABEL: Final = "pymonik.client"  # of a session's options: who opened it; see `wire.opener`
FAILED_PREFIX: Final = "pymonik.failed/"  # of one that tells of failures in a task that ended well
RUN_RECORD_PREFIX: Final = "pymonik.run/"  # starts the name of the result that is a run's record
# Starts the name of a payload with those calls of a task that failed; the id of its result follows.
LETTER_PREFIX: Final = "pymonik.letter/"
# Start the names of results that stay whoever deletes data: they are made for manual deletion.
# Entries of the cache are none: such results survive DeleteResultsData too, and it could never be
# cleared.
KEPT_PREFIXES: Final = (RUN_RECORD_PREFIX,)
KEY_BYTES: Final = 16  # of the key of a call, see `RunTask`


def _python() -> tuple[int, int]:
    # From a factory, not a default: a default is omitted, and the reader would fill in its own.
    return sys.version_info[:2]


def _format() -> int:
    return FORMAT_VERSION


class ResultRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Stands in a payload for the value of a result, which may not exist yet.

    Attributes:
        output: Of a value that is several: the name of the one that is meant; ``""`` means all.
    """

    result_id: str
    item: int = WHOLE
    output: str = ""


class FileRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file: its bytes are a *raw* result, without a container, or a part of one, or a blob.

    Any tool of ArmoniK can read and write a raw result, whose name is that of the file.

    Attributes:
        name: Where it lies in the folder of a call, with ``/``; see `pymonik.wire.names`.
        size: In bytes.
        digest: SHA-256 of its bytes, in hexadecimal.
        result_id: Of the raw result; ``""`` if the bytes are a blob.
        offset: Where they begin in the raw result: a pack of many files is a tar.
        blob: The number of the blob, from the first of the item; -1 if they are in a raw result.
        is_folder: The bytes are a tar, which arrives as a folder.
        is_executable: Programs can be files too.
        is_linked: A call may get the stored file itself, to be read only; ``None``: if it is large.
    """

    name: str
    size: int
    digest: str
    result_id: str = ""
    offset: int = 0
    blob: int = -1
    is_folder: bool = False
    is_executable: bool = False
    is_linked: bool | None = None


class FunctionRef(msgspec.Struct, frozen=True, tag="function", omit_defaults=True):
    """A function in Python: known by its content, shipped as a data dependency.

    Attributes:
        concurrency: How many of its calls one executor runs at the same time.
    """

    content_id: str
    result_id: str
    name: str
    concurrency: int = 1


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command", omit_defaults=True):
    """A command line in place of a function; the first blob of a call is `CommandArguments`.

    Attributes:
        words: The program and its arguments, with ``{fields}``; or one line for the shell.
        is_line: Whether it is that.
        files: For each call, in the folder where it runs.
        outputs: Names and patterns of what is kept of that folder.
        keeps_outputs: Also of a call that failed.
        ok: Exit codes that are no failure.
        checks: Whether all others are.
        env: Variables.
        repeat: How often it runs in a call; each time is a report.
        every_s: Seconds from one start to the next, at least.
    """

    name: str
    words: tuple[str, ...]
    is_line: bool = False
    files: tuple[FileRef, ...] = ()
    outputs: tuple[str, ...] = ()
    keeps_outputs: bool = False
    ok: tuple[int, ...] = (0,)
    checks: bool = True
    env: dict[str, str] = {}
    repeat: int = 1
    every_s: float = 0.0


class LambdaHandler(msgspec.Struct, frozen=True, kw_only=True, tag="lambda", omit_defaults=True):
    """A handler in the shape of AWS Lambda; the blobs of a call are `pymonik.wire.lambda_events`.

    Attributes:
        name: What the handler is told to be called, and ArmoniK's tools show.
        handler: Module and function, ``"package.module.function"``.
        files: One, a zip: its content stands first on the path of the executor, which is the
            executor of no other zip.
    """

    name: str
    handler: str
    files: tuple[FileRef, ...] = ()


# Functions that a worker runs without unpickling anything, whatever its Python is; see
# docs/format.md.
BuiltIn = Command | LambdaHandler


def archive_of(function: FunctionRef | BuiltIn) -> str:
    """The digest of the zip that the executor of a function has to have; ``""`` without any."""
    if isinstance(function, LambdaHandler) and function.files:
        return function.files[0].digest
    return ""


def fails_as_value(function: FunctionRef | BuiltIn | None) -> bool:
    """Whether failures of its calls are values: ArmoniK keeps nothing of a task that failed."""
    return isinstance(function, Command)


class BundleRef(msgspec.Struct, frozen=True, array_like=True):
    """The first-party files that the calls of a task may import.

    Attributes:
        digest: Of the manifest: the same files under the same paths have the same one.
        result_ids: Where the manifest lies, then the packs of files that it names; each is a data
            dependency of the task.
    """

    digest: str
    result_ids: tuple[str, ...]


class CallMeta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call: how many blobs it has (a pickle, then its buffers), and what it refers to.

    Attributes:
        files: Those among its arguments, by slot; then others that it needs.
    """

    blobs: int
    refs: tuple[ResultRef, ...] = ()
    files: tuple[FileRef, ...] = ()


class PayloadMeta(msgspec.Struct, frozen=True, kw_only=True, tag="payload", omit_defaults=True):
    """The head of a task's payload: one function and one call or more.

    Attributes:
        python: Version of the client's Python; see `pymonik.code.compiled`.
        functions: What else of the session is already uploaded: content id to result id.
        bundle: The files of the program; ``None`` where no call needs any.
        settings: Variables that the program has set in its modules, pickled; see
            `pymonik.code.settings`.
        run: Label of the run that the calls belong to.
        nonce: Of the session. A failure in ``Output.error`` is believed only behind this text,
            which is made by the client, handed on to subtasks, and never shown to user code.
        chunked: The result holds a list of items, even of one.
        earlier: Attempts at the call before this task: it was one of a chunk then.
        locals: Whether failures tell the values of local variables.
        log_level: Of the root logger of the program.
        board: The result in which the program tells its running tasks something; ``""`` without.
        first: The number of the first call among those of its run; -1 where they have none.
        indexes: Those of all calls, four bytes each, where they do not follow it.
        archive: Digest of the zip of a `LambdaHandler`: its executor serves no other.
        traces: Contexts of the spans that calls belong to, as propagators of OpenTelemetry write
            them: one for all calls, or one for each. Without any, executors make no spans.
    """

    function: FunctionRef | BuiltIn
    calls: tuple[CallMeta, ...]
    environment: Environment = Environment()
    functions: dict[str, str] = msgspec.field(default_factory=dict)
    bundle: BundleRef | None = None
    settings: bytes = b""
    run: str = ""
    nonce: str = ""
    chunked: bool = False
    earlier: int = 0
    locals: bool = True
    log_level: int = 30  # logging.WARNING
    board: str = ""
    first: int = -1
    indexes: bytes = b""
    archive: str = ""
    traces: tuple[dict[str, str], ...] = ()
    python: tuple[int, int] = msgspec.field(default_factory=_python)
    version: int = msgspec.field(default_factory=_format)

    def traces_of(self, places: Sequence[int]) -> tuple[dict[str, str], ...]:
        """``traces`` of a payload with these of the calls."""
        if len(self.traces) < 2:
            return self.traces
        return tuple(self.traces[place] for place in places)

    def numbers_of(self, start: int, stop: int) -> tuple[int, bytes]:
        """``first`` and ``indexes`` of a part of the calls."""
        if self.indexes:
            return -1, self.indexes[4 * start : 4 * stop]
        return (self.first + start if self.first >= 0 else -1), b""


class PayloadLabel(msgspec.Struct, frozen=True, tag="payload"):
    """The part of the same that says how its calls are called; the rest is passed over."""

    function: FunctionRef | BuiltIn
    run: str = ""
    first: int = -1
    indexes: bytes = b""

    def index(self, place: int) -> int:
        """The number of a call in its run; -1 where it has none."""
        return index_in(self, place)


_NO_INDEX: Final = 0xFFFFFFFF  # -1 in four bytes without a sign: a call that has no number


def index_in(meta: PayloadMeta | PayloadLabel, place: int) -> int:
    """The number of a call in its run; -1 where it has none."""
    if meta.indexes:
        number = int.from_bytes(meta.indexes[4 * place : 4 * place + 4], "little")
        return -1 if number == _NO_INDEX else number
    return meta.first + place if meta.first >= 0 else -1


def numbers(indexes: list[int]) -> tuple[int, bytes]:
    """``first`` and ``indexes`` of a payload, for calls of these numbers; -1 where one has none."""
    first = indexes[0]
    if len(indexes) == 1 or indexes == list(range(first, first + len(indexes))):
        return first, b""
    if max(indexes) < 0:
        return -1, b""
    return -1, b"".join((index & _NO_INDEX).to_bytes(4, "little") for index in indexes)


class PayloadNeeds(msgspec.Struct, frozen=True, tag="payload"):
    """The part of the same that says which executor can run it; the rest is passed over."""

    environment: Environment = Environment()
    bundle: BundleRef | None = None
    nonce: str = ""
    chunked: bool = False
    archive: str = ""
    board: str = ""


class ItemMeta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of a result: its blobs, or the failure that stands in its place.

    Attributes:
        blobs: How many; those of its small files are the last ones.
        failed: The value is a `pymonik.wire.failure.Failure`.
        ref: The value is that of another result.
        form: What the first blob is: `PICKLED`, `JSON` or `COMPLETED`.
        files: Those in the value, by slot; then the other outputs of the call.
        outputs: Of a value that is several, each by its name; their blobs are the first ones, in
            this order. A large one stands in a result of its own.
    """

    blobs: int
    failed: bool = False
    ref: ResultRef | None = None
    form: int = 0
    files: tuple[FileRef, ...] = ()
    outputs: tuple[tuple[str, ItemMeta], ...] = ()


ONE_BLOB: Final = ItemMeta(1)  # what most calls give: one object stands for all that are alike


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where a result was made.

    Attributes:
        host: Name of the machine or pod.
        pid: Of the executor's process.
        executor: Number of the executor on its host, since the worker started.
        attempt: Of the task, 1 for the first.
        started: When its first call began, in seconds since the epoch.
        partition: Of the task, ``""`` where the worker was not told.
        python: Minor version of the executor; see `pymonik.session.pythons`.
    """

    host: str
    pid: int
    executor: int
    attempt: int
    started: float
    partition: str
    python: tuple[int, int]


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """What the calls of a result took: columns of one number for each item, in order.

    A column is the machine's array of that type as little-endian bytes, empty where nothing was
    measured: a thousand items cost the same few objects as one.

    Attributes:
        seconds: float32, wall clock.
        cpu_s: float32, of the executor's process.
        peak_bytes: uint64, the most memory that the executor had meanwhile.
        printed_bytes: uint64, of standard output and standard error, kept or not.
        output_ends: uint64, where the item's part ends in what is kept; see `ResultMeta.output`.
        output_turns: uint32, which part of what is kept went to which stream, in bytes; see
            `pymonik.wire.streams`.
    """

    seconds: bytes = b""
    cpu_s: bytes = b""
    peak_bytes: bytes = b""
    printed_bytes: bytes = b""
    output_ends: bytes = b""
    output_turns: bytes = b""


class ResultMeta(msgspec.Struct, frozen=True, kw_only=True, tag="result", omit_defaults=True):
    """The head of a result: one value, or the items of a chunk.

    Attributes:
        seconds: How long the calls took that ran for it; 0 for data.
        origin: Where it was made; ``None`` for data.
        figures: Of each item.
        output: Whether one more blob stands behind those of the items: what the calls printed, the
            last 64 KiB of each.
    """

    items: tuple[ItemMeta, ...]
    chunked: bool = False
    seconds: float = 0.0
    origin: Origin | None = None
    figures: Figures | None = None
    output: bool = False
    version: int = msgspec.field(default_factory=_format)

    def without_items(self) -> ResultMeta:
        """The head without items: they are as many as the values, and this is kept for all."""
        return msgspec.structs.replace(self, items=())


class FunctionMeta(msgspec.Struct, frozen=True, kw_only=True, tag="function"):
    """The head of an uploaded function.

    Attributes:
        main: Which program's ``__main__`` stands in ``sys.modules`` while the function runs.
    """

    name: str
    blobs: int
    main: str = ""
    python: tuple[int, int] = msgspec.field(default_factory=_python)
    version: int = msgspec.field(default_factory=_format)


class BundleFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of a bundle.

    Attributes:
        path: Below the bundle's folder, with ``/``.
        digest: SHA-256 of its bytes, in hexadecimal.
        size: In bytes.
    """

    path: str
    digest: str
    size: int


class BundleMeta(msgspec.Struct, frozen=True, kw_only=True, tag="bundle", omit_defaults=True):
    """The manifest of a bundle; the container has no blobs.

    Attributes:
        files: By path.
        roots: Folders of it that stand on the path of imports, in order; ``""`` is the bundle's.
        origins: For each root, where it lies at the client: file names in tracebacks are of there.
        imports: Modules that are imported before the first call: plug-ins that register themselves.
        paths: Folders of packages that are installed beside the program, where workers see them.
    """

    files: tuple[BundleFile, ...]
    roots: tuple[str, ...] = ("",)
    origins: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    version: int = msgspec.field(default_factory=_format)


class PackMeta(msgspec.Struct, frozen=True, kw_only=True, tag="pack", omit_defaults=True):
    """The head of some files' bytes: one blob for each digest."""

    digests: tuple[str, ...]
    version: int = msgspec.field(default_factory=_format)


class RunTask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which items of a run one task holds.

    The task is not named: it owns the output, and a retry or another attempt is the owner later.

    Attributes:
        output_id: The result that the task produces. Without an owner the task never left.
        items: Numbers of the items, in the order in which they stand in the result; -1 where
            that is not known.
        keys: `KEY_BYTES` for each of them: what was called with what, by content; empty where that
            is not known.
        chunked: Whether the result holds a list of items; if not, it is the value of the only one.
    """

    output_id: str
    items: tuple[int, ...]
    keys: bytes
    chunked: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, tag="run", omit_defaults=True):
    """What is known of a run, or of a part of it: a small result named ``pymonik.run/<label>``.

    There is one for each request that submits tasks of the run, and it is stored before these are
    submitted. Where two of them tell of the same item, the later one holds.

    Attributes:
        run: Which run: a label may be given several times.
        label: Of the run; the name of the function where the program gave none.
        function: What it calls.
        parameters: Names of the function's parameters by position.
        source: File and first line of the function, ``""`` without a file.
        environment: Digest of its packages.
        bundle: The files of the program.
        total: Items of the run that the program had submitted by then, sent or not.
        single: Whether these are calls of `invoke`, numbered in the order in which they left.
        tasks: What this request submits.
        nonce: See `PayloadMeta`.
        started: When the first call was submitted, in seconds since the epoch.
        written: When this was written.
    """

    run: str
    label: str
    function: FunctionRef | BuiltIn
    parameters: tuple[str, ...] = ()
    source: tuple[str, int] = ("", 0)
    environment: str = ""
    bundle: BundleRef | None = None
    total: int = 0
    single: bool = False
    tasks: tuple[RunTask, ...] = ()
    nonce: str = ""
    started: float = 0.0
    written: float = 0.0
    version: int = msgspec.field(default_factory=_format)


Meta = PayloadMeta | ResultMeta | FunctionMeta | BundleMeta | PackMeta | RunRecord


def result_ids(meta: PayloadMeta) -> list[str]:
    """Every result that the payload needs, in order, each once: its data dependencies."""
    refs = [ref.result_id for call in meta.calls for ref in call.refs]
    files = [file.result_id for call in meta.calls for file in call.files]
    bundle = meta.bundle.result_ids if meta.bundle is not None else ()
    wheels = [file.result_id for file in meta.environment.files]
    function = _results_of(meta.function)
    found = dict.fromkeys([*function, *bundle, *wheels, *refs, *files])
    found.pop("", None)  # an empty file has no result
    return list(found)


def _results_of(function: FunctionRef | BuiltIn) -> list[str]:
    if isinstance(function, FunctionRef):
        return [function.result_id]
    return [file.result_id for file in function.files]


def rebound(meta: PayloadMeta, ids: dict[str, str]) -> PayloadMeta:
    """``meta`` with each stand-in replaced by the id that it got."""

    def real(result_id: str) -> str:
        return ids.get(result_id, result_id)

    def file(old: FileRef) -> FileRef:
        return msgspec.structs.replace(old, result_id=real(old.result_id))

    def call(old: CallMeta) -> CallMeta:
        refs = tuple(ResultRef(real(r.result_id), r.item, r.output) for r in old.refs)
        return CallMeta(old.blobs, refs, tuple(map(file, old.files)))

    function = meta.function
    if isinstance(function, FunctionRef):
        function = msgspec.structs.replace(function, result_id=real(function.result_id))
    else:
        function = msgspec.structs.replace(function, files=tuple(map(file, function.files)))
    wheels = {wheel.digest: real(wheel.result_id) for wheel in meta.environment.files}
    return msgspec.structs.replace(
        meta,
        function=function,
        environment=meta.environment.at(wheels),
        calls=tuple(call(old) for old in meta.calls),
        functions={content: real(result_id) for content, result_id in meta.functions.items()},
    )
