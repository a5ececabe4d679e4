"""A call of the past as it was, in this process: environment, files, function, arguments."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymonik.cli import rebuilt_built_in as built_in
from pymonik.cli.rebuilt_place import RebuiltPlace
from pymonik.code import codec, first_party, main_module
from pymonik.code.finder import bundles
from pymonik.code.opened_result import OpenedResult
from pymonik.code.packed_function import LoadedFunction
from pymonik.code.settings import applied, baselines
from pymonik.code.sources import OWN_FOLDER
from pymonik.code.spawned import MainSpec
from pymonik.content.unpacked import UnpackedBundles
from pymonik.environments.builds import Environments
from pymonik.errors import ControlPlaneError, SerializationError, UsageError
from pymonik.executor.installed import stand_in_site_packages
from pymonik.files.completed import Completed
from pymonik.runs.inline import InlineSession
from pymonik.runs.stored_calls import StoredTask, find_task, read_task, reader
from pymonik.session.current import activate
from pymonik.wire import containers
from pymonik.wire.call import Command, FunctionRef, LambdaHandler

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator

    from pymonik.runs.rows import Lists
    from pymonik.runs.stored_calls import Reading
    from pymonik.session.result import ResultState
    from pymonik.wire.call import FileRef, ResultRef
    from pymonik.wire.command_lines import Ran


@dataclass
class RebuiltCall:
    """A call that can be run.

    Attributes:
        notes: What is not as it was where it ran.
    """

    task: StoredTask
    item: int
    read: Reading
    notes: list[str] = field(default_factory=list)
    _place: RebuiltPlace | None = None

    def run(self) -> Any:
        """What it gives, here; subtasks run in this process.

        Raises:
            UsageError: Something that it needs is not there any more, or cannot be read here.
            BaseException: What the function raises.
        """
        session = InlineSession(self.task.row.session_id, self._state_value)
        activate(session)
        try:
            return self._outcome(session)
        finally:
            activate(None)
            if self._place is not None and not self._place.is_forgotten():
                self.notes.append(f"its files are in {self._place.folder}")

    def _outcome(self, session: InlineSession) -> Any:
        function = self.task.meta.function
        call, blobs = self.task.call(self.item)
        value = self._value_of(call.refs)
        if isinstance(function, Command):
            return built_in.command(function, call, blobs, value, self.place)
        if isinstance(function, LambdaHandler):
            return built_in.handler(function, blobs, value, self.place, session)
        return self._called(function, session)

    def _called(self, ref: FunctionRef, session: InlineSession) -> Any:
        function = self._function(ref)
        call, blobs = self.task.call(self.item)
        applied.apply(self.task.meta.settings)
        packed = _loaded(
            "the arguments",
            lambda: codec.unpack(blobs, self._value_of(call.refs), self._file_of(call.files)),
        )
        args, kwargs, seed = codec.arguments_of(packed)
        if call.files or getattr(function, "outputs", ()):
            # Its files are there, and what it makes is looked for there. The folder is not left
            # again: this process does nothing else.
            os.chdir(self.place.folder)
        return session.call(function, args, kwargs, seed)

    @property
    def place(self) -> RebuiltPlace:
        """The folder of the call; there is one once something asks for it."""
        if self._place is None:
            self._place = RebuiltPlace(self.task, self.read)
        return self._place

    def _file_of(self, refs: tuple[FileRef, ...]) -> Any:
        return lambda slot: self.place.file(refs[slot])

    def is_ours(self, frame: types.FrameType) -> bool:
        """Whether a frame is one of pymonik, which nobody wants to see."""
        return frame.f_code.co_filename.startswith(OWN_FOLDER)

    def _function(self, ref: FunctionRef) -> Any:
        container = self._there(ref.result_id, f"the function {ref.name}")
        return _loaded(f"the function {ref.name}", lambda: LoadedFunction(container).function)

    def _value_of(self, refs: tuple[ResultRef, ...]) -> Any:
        def fill(slot: int) -> object:
            return self._value(refs[slot], f"input {slot}")

        return fill

    def _value(self, ref: ResultRef, what: str) -> object:
        # A copy that can be written to: the function may change its arguments, as it can on a
        # worker.
        opened = OpenedResult(bytearray(self._there(ref.result_id, what)))
        return opened.value(
            ref.item, lambda other: self._value(other, what), _Files(self), ref.output
        )

    def _state_value(self, state: ResultState) -> object:
        return self._value(state.place, state.name or "an input")

    def _there(self, result_id: str, what: str) -> Any:
        try:
            return self.read(result_id)
        except ControlPlaneError as error:
            raise UsageError(
                f"{what} (result {result_id}) is not there any more: {error.detail}"
            ) from error


class _Files:
    """Reads files in values of other calls: see `pymonik.code.references.Reader`."""

    def __init__(self, call: RebuiltCall) -> None:
        self._call = call

    def file(self, ref: FileRef, data: Any) -> object:
        """The file, in the folder of the call."""
        return self._call.place.file(ref, data)

    def completed(self, ran: Ran, files: dict[str, Any]) -> object:
        """What another command gave."""
        return Completed.of(ran, files)


@contextlib.contextmanager
def rebuilt(lists: Lists, identifier: str, item: int | None) -> Iterator[RebuiltCall]:
    """A call with what it needs around it; for a process that does nothing else.

    Args:
        lists: Of the cluster.
        identifier: Of its task, or of the result of that.
        item: Its place in the task; ``None`` where it is alone.

    Raises:
        UsageError: There is no such call, or its payload was deleted.
        EnvironmentSetupError: Its packages cannot be installed here.
    """
    read = reader(lists)
    row = find_task(lists, identifier)
    task = read_task(row, read)
    call = RebuiltCall(task, _place(task, item), read)
    _note_python(call)
    environments, unpacked = Environments(), UnpackedBundles()
    try:
        _set_up_environment(call, environments)
        _set_up_files(call, unpacked)
        yield call
    finally:
        unpacked.close()
        environments.close()


def _place(task: StoredTask, item: int | None) -> int:
    number = len(task.meta.calls)
    if item is None and number > 1:
        raise UsageError(
            f"{number} calls share this task: name one, {task.row.first_id}[0] to [{number - 1}]"
        )
    place = item or 0
    if place >= number:
        raise UsageError(f"this task has no call {place}: there are {number}")
    return place


def _note_python(call: RebuiltCall) -> None:
    sent, here = tuple(call.task.meta.python), sys.version_info[:2]
    if sent != here:
        version = "{}.{}".format(*sent)
        call.notes.append(
            f"the call was sent by Python {version}, this is {here[0]}.{here[1]}: code by value "
            f"cannot be loaded here; with uv: uv run --python {version} pymonik replay ..."
        )


def _set_up_environment(call: RebuiltCall, environments: Environments) -> None:
    environment = call.task.meta.environment
    os.environ.update(environment.env_variables)

    def wheel(result_id: str) -> bytes:
        _, blobs = containers.split(call.read(result_id))
        return bytes(blobs[0])

    folder = environments.wait(environment, wheel, lambda: False)
    if folder:
        stand_in_site_packages(folder)
        first_party.installed_in(folder)


def _set_up_files(call: RebuiltCall, unpacked: UnpackedBundles) -> None:
    """Let modules of the program be imported as they were, and its ``__main__`` be what it was."""
    # No other program runs here: the `__main__` of the call may take the place of this one for
    # good.
    main_module.take_turns(MainSpec)
    baselines.is_watching = False
    bundles.uses_originals = True
    if (ref := call.task.meta.bundle) is not None:
        bundle = unpacked.get(ref, lambda result_id: call.read(result_id))
        bundles.enter(str(bundle.folder))


def _loaded(what: str, load: Any) -> Any:
    try:
        return load()
    except SerializationError as error:
        raise UsageError(f"{what} cannot be loaded here: {error}") from error
