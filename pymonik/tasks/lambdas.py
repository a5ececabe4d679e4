"""`Task.from_lambda`: a handler in the shape of AWS Lambda, out of a zip or a folder, as a task.

::

    Task.from_lambda("lambda.zip", "engine.lambda_handler")
        └──► name of the handler, digest and place of the zip: in the head of each payload
    .invoke({"portfolio": [...]})
        └──► the event as JSON; nothing is pickled, so client and worker may have any Python
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import inspect
import json
import os
import sys
import tempfile
import threading
import time
import weakref
from importlib import machinery
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction
from pymonik.code.references import Enclosed, Referable, ReferableGroup
from pymonik.content.archives import UnpackedArchives, entries_of, opened
from pymonik.content.zipping import files_below, write_zip
from pymonik.errors import ArgumentsError, SerializationError, UsageError
from pymonik.files.file import File
from pymonik.options import refuse_unknown
from pymonik.session.run import Run, SingleCalls
from pymonik.tasks.arguments import Parameters
from pymonik.tasks.task import TASK_KEYWORDS, Task
from pymonik.wire import lambda_events
from pymonik.wire.call import LambdaHandler
from pymonik.wire.lambda_events import Extras, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymonik.options import TaskOptions

_KEYWORDS: Final = (
    "name",
    *(name for name in TASK_KEYWORDS if name not in (
        "require_context", "function_name", "retry_on", "outputs", "setup", "cache",
        "retry_backoff",
    )),
)  # fmt: skip
_HINTS: Final = {
    "timeout": "did you mean max_duration?",
    "retries": "did you mean max_retries?",
    "runtime": "the worker's Python runs it",
    "layers": "put them into the zip, or write environment={'pip': [...]}",
}
_CLIENT_CONTEXT: Final = "client_context"


def from_lambda(
    source: str | os.PathLike[str], handler: str, *, name: str | None = None, **options: Any
) -> LambdaTask:
    """A handler in the shape of AWS Lambda as a `Task`; see `Task.from_lambda`."""
    refuse_unknown("Task.from_lambda", options.keys() - set(_KEYWORDS), _KEYWORDS, _HINTS)
    path = Path(source)
    module, function = _parts(handler)
    packed: _PackedFolder | None = None
    if path.is_dir():
        packed = _PackedFolder(path)
        file = File(packed.path, name=f"{path.resolve().name}.zip", link=True)
    else:
        file = File(path, link=True)
    _check(file, str(path), module, function)
    definition = LambdaHandler(name=name or function, handler=f"{module}.{function}")
    return LambdaTask(definition, file, options, packed)


class LambdaTask(Task[[Any], Any]):
    """A handler as a task: `invoke`, `map_invoke` and options as ever.

    Attributes:
        definition: What is run.
        archive: The zip; a new one under its path is new code for the next call.
    """

    definition: LambdaHandler
    archive: File

    def __init__(
        self,
        definition: LambdaHandler,
        archive: File,
        options: Mapping[str, Any],
        packed: _PackedFolder | None = None,
    ) -> None:
        self.definition = definition
        self.archive = archive
        self._options = dict(options)
        self._packed = packed  # the file of a folder that was packed: it goes with this
        self._event_parameters = _EventParameters()
        super().__init__(_Here(self), func_name=definition.name, **options)

    def __reduce_ex__(self, protocol: Any) -> Any:
        found = super().__reduce_ex__(protocol)
        if isinstance(found, str):
            return found
        return LambdaTask, (self.definition, self.archive, self._options)

    def parts(self) -> tuple[object, ...]:
        """All that the task consists of."""
        return self.definition, self.archive, self._options

    def __getstate__(self) -> tuple[object, ...]:
        return self.parts()

    def __call__(self, event: Any, context: Any = None, /) -> Any:
        """Run the handler here, for a test; ``context`` is what it gets."""
        return cast("Any", self.func)(event, context)

    # -- how it travels --------------------------------------------------------------------------

    def packed(self) -> PackedFunction:
        """The handler as it travels, with its zip as it is now."""
        sealed = self.archive._seal()
        definition = msgspec.structs.replace(self.definition, files=(sealed.ref,))
        text = f"{definition.name} {definition.handler} {sealed.ref.digest}"
        content = hashlib.sha256(text.encode()).hexdigest()[:32]
        return PackedFunction(content, self.name, b"", built_in=definition, files=[sealed])

    def adopt(self, content_id: str) -> None:
        """Nothing to learn: it is never pickled."""

    def _new_run(self, options: TaskOptions) -> Run:
        run = super()._new_run(options)
        run.has_pickles = False
        return run

    @property
    def _single_calls(self) -> Run:
        run = SingleCalls(self, self.name, self.options.label or "", ("event",))
        run.has_pickles = False
        return run

    @property
    def _parameters(self) -> Parameters:
        return self._event_parameters

    def _call_options(self, task_options: object, keywords: dict[str, Any]) -> TaskOptions:
        if f"pmk_{_CLIENT_CONTEXT}" in keywords:
            keywords[_CLIENT_CONTEXT] = keywords.pop(f"pmk_{_CLIENT_CONTEXT}")
        return super()._call_options(task_options, keywords)

    def _pack_call(
        self,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        shared: object = None,
        seed: object = None,
    ) -> Packed:
        del shared, seed  # events are text; handlers have no random numbers of ours
        event, client_context = args[0], kwargs.get(_CLIENT_CONTEXT)
        if client_context is not None and not isinstance(client_context, dict):
            raise ArgumentsError("pmk_client_context is a dict, as AWS takes it")
        found = _References()
        plain = found.without(event, ())
        blobs = [lambda_events.encoded(plain, "the event")]
        if found.places or client_context is not None:
            text = lambda_events.encoded(client_context, "the client context")
            # As JSON has it: msgspec has forms of its own for some of what we take.
            plain_context = lambda_events.decoded(text, "the client context")
            extras = Extras(places=tuple(found.places), client_context=plain_context)
            blobs.append(lambda_events.extras_encoder.encode(extras))
        return Packed(tuple(blobs), sum(map(len, blobs)), found.refs)


class _EventParameters(Parameters):
    """Those of a handler: one event, whatever it is."""

    def __init__(self) -> None:
        def handler(event: object, /, *, client_context: object = None) -> None: ...

        super().__init__(handler)

    def of_item(
        self, item: object, common: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Each item is an event: dicts too, and lists."""
        return (item,), common

    def takes(self, name: str) -> bool:
        """No keyword is an argument but the context of the client."""
        return name == _CLIENT_CONTEXT


class _References:
    """Handles in an event, taken out of it.

    Attributes:
        places: Where their values belong.
        refs: The handles, each once.
    """

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.refs: list[Referable] = []
        self._slots: dict[int, int] = {}

    def without(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """The value, with ``None`` in the place of each handle."""
        if isinstance(value, Referable):
            self.places.append(Place(path, self._slot(value)))
            return None
        if isinstance(value, Enclosed):
            raise SerializationError("an event is JSON, which has no files: give a text, or a path")
        if isinstance(value, ReferableGroup):
            value = list(value._members())
        if isinstance(value, list | tuple):
            return self._without_all(value, path)
        if isinstance(value, dict):
            return {
                key: self.without(child, (*path, lambda_events.key_of(key)))
                for key, child in value.items()
            }
        return value

    def _without_all(self, values: Sequence[Any], path: tuple[str | int, ...]) -> Sequence[Any]:
        if all(map(_is_plain, values)):
            return values
        return [self.without(child, (*path, index)) for index, child in enumerate(values)]

    def _slot(self, handle: Referable) -> int:
        key = id(handle._state)
        if key not in self._slots:
            self._slots[key] = len(self.refs)
            self.refs.append(handle)
        return self._slots[key]


def _is_plain(value: object) -> bool:
    return type(value) in (int, float, str, bool, type(None))


# -- the zip -------------------------------------------------------------------------------------


def _parts(handler: object) -> tuple[str, str]:
    """Module and function; AWS takes slashes in the first too."""
    if not isinstance(handler, str):
        raise UsageError(f"a handler is named 'module.function', not {handler!r}")
    module, _, function = handler.replace("/", ".").rpartition(".")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"a handler is named 'module.function', not {handler!r}")
    return module, function


def _check(file: File, shown: str, module: str, function: str) -> None:
    """Find out now what would fail on every worker.

    Raises:
        UsageError: The zip is none, holds what it may not, or has no such handler.
    """
    try:
        with file.open() as source, opened(source) as archive:
            names = {entry.filename for entry in entries_of(archive)}
            place = _module_in(names, module)
            if place is None:
                raise UsageError(f"no module {module!r} in it{_tops(names)}")
            if place.endswith(".py"):
                _check_function(archive.read(place), place, function)
    except FileNotFoundError as error:
        raise UsageError(f"{shown}: there is no such file or folder") from error
    except (SerializationError, UsageError) as error:
        raise UsageError(f"{shown}: {error}") from error


def _module_in(names: set[str], module: str) -> str | None:
    base = module.replace(".", "/")
    endings = [".py", "/__init__.py", ".pyc", "/__init__.pyc", ".so", ".pyd"]
    found = next((base + ending for ending in endings if base + ending in names), None)
    if found is not None:
        return found
    suffixes = tuple(machinery.EXTENSION_SUFFIXES)
    # An extension may be for the worker's Python, whose ending this one does not know.
    compiled = (name for name in names if name.startswith(f"{base}."))
    return next((name for name in compiled if name.endswith((".so", ".pyd", *suffixes))), None)


def _tops(names: set[str]) -> str:
    tops = sorted({name.partition("/")[0].removesuffix(".py") for name in names})
    return f"; there are {', '.join(tops[:10])}" if tops else "; it is empty"


def _check_function(source: bytes, place: str, function: str) -> None:
    try:
        tree = ast.parse(source, place)
    except (SyntaxError, ValueError):  # of another Python: the worker may understand it
        return
    if not _may_bind(tree, function):
        raise UsageError(f"{place} has no handler {function!r}")


def _may_bind(tree: ast.Module, name: str) -> bool:
    """Whether a module may have the name: by any statement, or by what only a run can tell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name in (name, "__getattr__"):
                return True
        elif isinstance(node, ast.Name):
            if node.id in (name, "globals", "vars", "exec", "setattr"):
                return True
        elif isinstance(node, ast.alias):
            bound = (node.asname or node.name).partition(".")[0]
            if bound in (name, "*"):
                return True
    return False


class _PackedFolder:
    """A folder as a zip in a temporary file, which goes with this.

    Attributes:
        path: Of the zip.
    """

    def __init__(self, folder: Path) -> None:
        fd, self.path = tempfile.mkstemp(prefix="pymonik-lambda-", suffix=".zip")
        weakref.finalize(self, _remove, self.path, os.getpid())
        with os.fdopen(fd, "wb") as file:
            write_zip(file, files_below(folder), is_small=False)
        # Its digest is remembered only once the clock has moved on: see `pymonik.content.sealing`.
        past = time.time() - 1
        os.utime(self.path, (past, past))


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork
        Path(path).unlink(missing_ok=True)


# -- here ----------------------------------------------------------------------------------------


class _Here:
    """Runs a handler in this process, for a test: its modules stand for those of the program."""

    _lock = threading.RLock()
    _archives = UnpackedArchives()

    def __init__(self, task: LambdaTask) -> None:
        self._task = task
        self._modules: dict[str, Any] = {}
        self._digest = ""
        self.__name__ = task.definition.name
        self.__signature__ = inspect.signature(lambda event, context=None: None)  # noqa: ARG005

    def __call__(self, event: Any, context: Any = None) -> Any:
        given = json.loads(lambda_events.encoded(event, "the event"))
        archive = self._task.archive
        with self._lock, self._in_place(archive.digest, os.fspath(archive)):
            module, _, function = self._task.definition.handler.rpartition(".")
            handler = getattr(importlib.import_module(module), function)
            answer = handler(given, context)
        return json.loads(lambda_events.encoded(answer, "the answer of the handler"))

    @contextlib.contextmanager
    def _in_place(self, digest: str, path: str) -> Iterator[None]:
        """Have the modules of the zip be found, and those of the program again afterwards."""
        folder = self._archives.get(digest, path)
        if digest != self._digest:
            self._digest, self._modules = digest, {}
        tops = {name.partition(".")[0] for name in os.listdir(folder)}  # noqa: PTH208
        hidden = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(self._modules)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            own = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
            self._modules = own
            for name in own:
                del sys.modules[name]
            sys.modules.update(hidden)
