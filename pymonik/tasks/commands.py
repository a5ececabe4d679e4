"""`command`: a program with its arguments in place of a Python function.

::

    command("solver --mesh {mesh}", files=[...], outputs=["*.vtu"])
        └──► words with fields, files, outputs: in the head of each payload; nothing is pickled
    .invoke(File("a.msh"), mesh="a.msh")
        └──► JSON: what stands in the fields, which files are there besides
"""

from __future__ import annotations

import hashlib
import inspect
import shlex
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.code.packed_function import PackedFunction
from pymonik.errors import ArgumentsError
from pymonik.options import refuse_unknown
from pymonik.quantities import positive_s, whole_number
from pymonik.tasks.built_in import KEYWORDS, BuiltInTask
from pymonik.tasks.command_arguments import CommandCall, is_input, shown
from pymonik.tasks.command_words import (
    bare_fields,
    exit_codes,
    fields_of,
    file_of,
    keeps_outputs,
    program_of,
    variables,
    words_of,
)
from pymonik.tasks.given import output_names
from pymonik.wire import command_lines, shell_lines
from pymonik.wire.call import Command

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from pymonik.code.codec import Packed
    from pymonik.files.completed import Completed
    from pymonik.files.file import File


_KEYWORDS: Final = (
    "files", "outputs", "outputs_on", "ok", "check", "env", "name", "repeat", "every", *KEYWORDS
)  # fmt: skip
# Keywords of other libraries, with what to write here.
_HINTS: Final = {
    "retries": "did you mean max_retries?",
    "timeout": "did you mean max_duration?",
    "input_files": "did you mean files?",
    "output_files": "did you mean outputs?",
    "resource_files": "did you mean files?",
    "cwd": "a command runs in a folder of its own",
    "shell": "a text is a line for the shell, a list is the words of a program",
    "environ": "did you mean env?",
}
_MOST_FILES_SHOWN: Final = 20  # by `dry_run`, in its line of files
_MOST_TURNS: Final = 1_000_000_000  # the largest `repeat`: as good as without an end
_definition_encoder = msgspec.msgpack.Encoder()


def command(
    line: str | Sequence[object],
    *,
    files: Iterable[File | str | os.PathLike[str]] = (),
    outputs: str | Iterable[str] = (),
    outputs_on: str = "success",
    ok: int | Iterable[int] = (0,),
    check: bool = True,
    env: Mapping[str, str] | None = None,
    name: str | None = None,
    repeat: int = 1,
    every: timedelta | float = 0.0,
    **options: Any,
) -> CommandTask:
    """Make a program a `Task`; the value of a call is a `Completed`.

    A call runs in a folder of its own, with its files. Its arguments are files, by position, and
    the words for the ``{fields}`` of the line, by keyword: a text, a number, a `File` (its path
    there), the handle of any of them, or a list. Values by position that are no files fill the
    fields in their order.

    Args:
        line: A line for ``/bin/sh``, in which fields are quoted; or a list of words, for which no
            shell is needed. Braces that are no field are doubled: ``{{``.
        files: There for each call.
        outputs: Names and patterns of files that are kept: a name must be there in the end, a
            pattern without a match is told.
        outputs_on: ``"success"``, or ``"always"``: an error has files too.
        ok: Exit codes that are no failure.
        check: Whether any other raises a `CommandError`.
        env: Variables.
        name: What ArmoniK's tools show; by default the program.
        repeat: How often it runs in a call; each time is a report (`ResultHandle.follow`) with
            ``rc``, ``stdout``, ``stderr``, and the last one is the value. A failure ends it.
        every: Seconds from one start to the next, at least.
        options: As for `task`: ``max_duration``, ``partition``, ``environment`` and so on.

    Raises:
        UsageError: The line or a name cannot be used.
    """
    refuse_unknown("command", options.keys() - set(_KEYWORDS), _KEYWORDS, _HINTS)
    words, is_line = words_of(line)
    definition = Command(
        name=name or program_of(words, is_line=is_line),
        words=words,
        is_line=is_line,
        outputs=output_names(outputs),
        keeps_outputs=keeps_outputs(outputs_on),
        ok=exit_codes(ok),
        checks=check,
        env=variables(env or {}),
        repeat=whole_number("repeat", repeat, 1, _MOST_TURNS),
        every_s=0.0 if every == 0 else positive_s(every, "every"),
    )
    return CommandTask(definition, tuple(file_of(one) for one in files), options)


class CommandTask(BuiltInTask[..., "Completed"]):
    """A command as a task: `invoke`, `map_invoke` and options as ever.

    Attributes:
        definition: What is run.
        files: There for each call.
    """

    definition: Command
    files: tuple[File, ...]

    def __init__(
        self, definition: Command, files: tuple[File, ...], options: Mapping[str, Any]
    ) -> None:
        self.definition = definition
        self.files = files
        self._options = dict(options)
        self._fields = fields_of(definition)
        self._bare = bare_fields(definition)
        super().__init__(
            _Here(self), func_name=definition.name, outputs=definition.outputs, **options
        )
        self.has_folder = True

    def parts(self) -> tuple[object, ...]:
        """All that the task consists of."""
        return self.definition, self.files, self._options

    def dry_run(self, *args: object, **kwargs: object) -> str:
        """What a call would run, as a line for the shell, and the files that it would have.

        Raises:
            ArgumentsError: The arguments do not fit.
        """
        call = self._pack(args, kwargs)
        arguments = command_lines.arguments_decoder.decode(call.blobs[0])
        names = [file.ref.name for file in call.files]
        words_shown = {
            field: [shown(one, names, call.refs) for one in given]
            for field, given in arguments.fields.items()
        }
        is_line = self.definition.is_line
        words = command_lines.filled(self.definition.words, words_shown, is_line=is_line)
        lines = [words[0] if is_line else shlex.join(words)]
        there = [file.name for file in self.files] + names
        if there:
            more = ", ..." if len(there) > _MOST_FILES_SHOWN else ""
            lines.append(f"  with {', '.join(there[:_MOST_FILES_SHOWN])}{more}")
        if self.definition.outputs:
            lines.append(f"  gives {', '.join(self.definition.outputs)}")
        return "\n".join(lines)

    # -- how it travels --------------------------------------------------------------------------

    def packed(self) -> PackedFunction:
        """The command as it travels, with its files as they are now."""
        sealed = [file._seal() for file in self.files]
        definition = msgspec.structs.replace(
            self.definition, files=tuple(one.ref for one in sealed)
        )
        # With the digests of its files: a changed file makes another function, which workers load
        # anew.
        content = hashlib.sha256(_definition_encoder.encode(definition)).hexdigest()[:32]
        return PackedFunction(content, self.name, b"", built_in=definition, files=sealed)

    def _gives_files(self) -> bool:
        return bool(self.outputs)

    def _pack_call(
        self,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        shared: object = None,
        seed: object = None,
    ) -> Packed:
        # Arguments that come again are files, which are uploaded once anyway; programs have no seed
        # of ours.
        del shared, seed
        return self._pack(args, kwargs)

    def _pack(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Packed:
        """The arguments of a call as JSON, with the files and handles in them.

        Raises:
            ArgumentsError: A field is not given, or given twice, or there is none of that name.
        """
        call = CommandCall()
        given = dict(kwargs)
        for value in args:
            # A file or handle by position only lies in the folder; anything else fills a field.
            if is_input(value):
                call.add_files(value)
            else:
                given[self._next_field(given, value)] = value
        if lacking := [name for name in self._fields if name not in given]:
            raise ArgumentsError(f"{self.name}(): {', '.join(lacking)} of the line is not given")
        if unknown := [name for name in given if name not in self._fields]:
            known = ", ".join(self._fields) or "none"
            text = f"{self.name}(): the line has no field {unknown[0]!r}; there are: {known}"
            raise ArgumentsError(text)
        for name, keys in self._fields.items():
            for key in keys:
                call.fill(key, given[name])
        for key in self._bare:
            self._refuse_signs(key, call.known_words(key))
        return call.packed()

    def _refuse_signs(self, key: str, words: Sequence[str]) -> None:
        if not all(map(shell_lines.is_harmless, words)):
            raise ArgumentsError(
                f"{self.name}(): {' '.join(words)!r} cannot stand for {{{key}}} where quotes do "
                f"not help: {shell_lines.WHERE}"
            )

    def _next_field(self, given: Mapping[str, object], value: object) -> str:
        free = next((name for name in self._fields if name not in given), None)
        if free is None:
            raise ArgumentsError(
                f"{self.name}(): {value!r} is no file, and the line has no field left for it"
            )
        return free


class _Here:
    """Runs a command on this machine, for a test: what a call of the task does."""

    def __init__(self, task: CommandTask) -> None:
        self._task = task
        self.__name__ = task.definition.name
        # The name of ``*files`` must be none of a field, which could not be given by keyword then.
        rest = "files"
        while rest in task._fields:
            rest += "_"
        files = inspect.Parameter(rest, inspect.Parameter.VAR_POSITIONAL)
        # Each may be given by position too: what is lacking is told when a call is packed.
        fields = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for name in task._fields
        ]
        self.__signature__ = inspect.Signature([files, *fields])

    def __call__(self, *args: object, **kwargs: object) -> Completed:
        from pymonik.executor.command_here import run_here

        return run_here(self._task.packed(), self._task._pack(args, kwargs))
