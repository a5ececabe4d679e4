"""`Task.from_lambda`: a handler in the shape of AWS Lambda, out of a zip or a folder, as a task.

::

    Task.from_lambda("lambda.zip", "engine.lambda_handler")
        └──► name of the handler, digest and place of the zip: in the head of each payload
    .invoke({"portfolio": [...]})
        └──► the event as JSON; nothing is pickled, so client and worker may have any Python
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction
from pymonik.errors import ArgumentsError
from pymonik.files.file import File
from pymonik.options import refuse_unknown
from pymonik.tasks.built_in import KEYWORDS, BuiltInTask
from pymonik.tasks.event_arguments import CLIENT_CONTEXT, EventParameters, EventReferences
from pymonik.tasks.handler_here import HandlerHere
from pymonik.tasks.handler_zip import PackedFolder, check, parts_of
from pymonik.wire import lambda_events
from pymonik.wire.call import LambdaHandler
from pymonik.wire.lambda_events import Extras

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from pymonik.options import TaskOptions
    from pymonik.tasks.arguments import Parameters

_KEYWORDS: Final = ("name", *KEYWORDS)
_HINTS: Final = {
    "timeout": "did you mean max_duration?",
    "retries": "did you mean max_retries?",
    "runtime": "the worker's Python runs it",
    "layers": "put them into the zip, or write environment={'pip': [...]}",
}


def from_lambda(
    source: str | os.PathLike[str], handler: str, *, name: str | None = None, **options: Any
) -> LambdaTask:
    """A handler in the shape of AWS Lambda as a `Task`; see `Task.from_lambda`."""
    refuse_unknown("Task.from_lambda", options.keys() - set(_KEYWORDS), _KEYWORDS, _HINTS)
    path = Path(source)
    module, function = parts_of(handler)
    packed: PackedFolder | None = None
    if path.is_dir():
        packed = PackedFolder(path)
        file = File(packed.path, name=f"{path.resolve().name}.zip", link=True)
    else:
        file = File(path, link=True)
    check(file, str(path), module, function)
    definition = LambdaHandler(name=name or function, handler=f"{module}.{function}")
    return LambdaTask(definition, file, options, packed)


class LambdaTask(BuiltInTask[[Any], Any]):
    """A handler as a task: `invoke`, `map_invoke` and options as ever.

    Attributes:
        definition: What is run.
        archive: The zip; a new one under its path is new code for the next call.
    """

    definition: LambdaHandler
    archive: File
    _parameter_names = ("event",)

    def __init__(
        self,
        definition: LambdaHandler,
        archive: File,
        options: Mapping[str, Any],
        packed: PackedFolder | None = None,
    ) -> None:
        self.definition = definition
        self.archive = archive
        self._options = dict(options)
        self._packed = packed  # the file of a folder that was packed: it goes with this
        self._event_parameters = EventParameters()
        super().__init__(HandlerHere(self), func_name=definition.name, **options)

    def parts(self) -> tuple[object, ...]:
        """All that the task consists of."""
        return self.definition, self.archive, self._options

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

    @property
    def _parameters(self) -> Parameters:
        return self._event_parameters

    def _call_options(self, task_options: object, keywords: dict[str, Any]) -> TaskOptions:
        if f"pmk_{CLIENT_CONTEXT}" in keywords:
            keywords[CLIENT_CONTEXT] = keywords.pop(f"pmk_{CLIENT_CONTEXT}")
        return super()._call_options(task_options, keywords)

    def _pack_call(
        self,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        shared: object = None,
        seed: object = None,
    ) -> Packed:
        # Events are text, in which nothing is shared, and handlers have no random numbers of ours.
        del shared, seed
        event, client_context = args[0], kwargs.get(CLIENT_CONTEXT)
        if client_context is not None and not isinstance(client_context, dict):
            raise ArgumentsError("pmk_client_context is a dict, as AWS takes it")
        found = EventReferences()
        plain = found.without(event, ())
        blobs = [lambda_events.encoded(plain, "the event")]
        if found.places or client_context is not None:
            text = lambda_events.encoded(client_context, "the client context")
            # As JSON has it: msgspec has forms of its own for some of what we take.
            plain_context = lambda_events.decoded(text, "the client context")
            extras = Extras(places=tuple(found.places), client_context=plain_context)
            blobs.append(lambda_events.extras_encoder.encode(extras))
        return Packed(tuple(blobs), sum(map(len, blobs)), found.refs)
