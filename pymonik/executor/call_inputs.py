"""What calls get from other results, and what is raised where that is not among the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.code import opened_result
from pymonik.errors import SerializationError
from pymonik.executor.mappings import inputs
from pymonik.executor.telling import NeededFailedError
from pymonik.wire.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.references import Reader
    from pymonik.executor.frames import Run
    from pymonik.wire.call import FileRef, ResultRef


class ElsewhereError(Exception):
    """What the call needs stands in other results, which the task did not get."""

    def __init__(
        self,
        refs: dict[ResultRef, ResultRef],
        files: Sequence[FileRef] = (),
        outputs: Sequence[ResultRef] = (),
    ) -> None:
        super().__init__(refs)
        self.refs = refs
        self.files = files
        self.outputs = outputs


class PartsNotHereError(Exception):
    """Files or outputs of a value are no inputs of the task."""

    def __init__(self, files: Sequence[FileRef], outputs: Sequence[ResultRef]) -> None:
        super().__init__(files, outputs)
        self.files = files
        self.outputs = outputs


class NotHereError(Exception):
    """A result, or what it refers to, is no input of the task."""

    def __init__(self, ref: ResultRef) -> None:
        super().__init__(ref)
        self.ref = ref


class CallInputs:
    """The inputs of a task, each opened once.

    Args:
        run: The task.
        reader: Gives files in them.
    """

    def __init__(self, run: Run, reader: Reader) -> None:
        self._run = run
        self._reader = reader
        self._opened: dict[str, opened_result.OpenedResult] = {}

    def let_go_of_arrays(self) -> None:
        """An array lies where it is mapped and may be changed: no call sees what another did."""
        if self._opened:
            self._opened = {i: one for i, one in self._opened.items() if not one.has_buffers}

    def slots(self, refs: Sequence[ResultRef]) -> Any:
        """What gives the value of each slot; all that stand elsewhere are found at once."""
        if not refs:
            return None
        elsewhere: dict[ResultRef, ResultRef] = {}
        lacking: list[FileRef] = []
        outputs: list[ResultRef] = []
        values: list[object] = []
        for ref in refs:
            try:
                values.append(self._value(ref))
            # `error.ref` is where the value was moved to: the call runs again with that result
            # among its inputs. A declared input that is missing, and was not moved, would be
            # missing the next time too.
            except NotHereError as error:  # noqa: PERF203 - see above
                if error.ref == ref or (ref.item < 0 and not ref.output):
                    raise SerializationError("a data dependency of the task is missing") from error
                elsewhere[ref] = error.ref
            except PartsNotHereError as error:
                lacking += error.files
                outputs += error.outputs
        if elsewhere or lacking or outputs:
            raise ElsewhereError(elsewhere, lacking, outputs)
        return values.__getitem__

    def _value(self, ref: ResultRef) -> object:
        if ref.result_id not in self._run.files and ref.result_id not in self._run.data:
            raise NotHereError(ref)
        opened = self._open(ref.result_id)
        files, outputs = opened.needs(ref.item, ref.output)
        if files or outputs:
            self._check_parts(ref, files, outputs)
        value = opened.value(ref.item, self._value, self._reader, ref.output)
        # A reference to a whole chunk gives a list of its items, any of which may be a failure.
        for one in value if ref.item < 0 and isinstance(value, list) else (value,):
            if isinstance(one, Failure):
                raise NeededFailedError(one)
        return value

    def _check_parts(
        self, ref: ResultRef, files: Sequence[FileRef], outputs: Sequence[ResultRef]
    ) -> None:
        """Raise what has the call run again, unless all parts of a value are inputs of the task."""
        run = self._run
        lacking = [file for file in files if not self._is_here(file)]
        missing = [
            one
            for one in outputs
            if one.result_id not in run.files and one.result_id not in run.data
        ]
        if missing and ref.output:
            raise NotHereError(missing[0])  # the reference is to lead there instead
        if lacking or missing:
            raise PartsNotHereError(lacking, missing)

    def _open(self, result_id: str) -> opened_result.OpenedResult:
        """An input, which several references may need."""
        opened = self._opened.get(result_id)
        if opened is None:
            # Opening parses the head and keeps unpickled items, which many references into one
            # chunk share.
            opened = opened_result.OpenedResult(inputs.load(self._run.input(result_id)))
            self._opened[result_id] = opened
        return opened

    def _is_here(self, file: FileRef) -> bool:
        run = self._run
        return not file.result_id or file.result_id in run.files or file.result_id in run.data
