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
import os
import shlex
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction
from pymonik.code.references import Enclosed, Known, Referable, ReferableGroup
from pymonik.errors import ArgumentsError, UsageError
from pymonik.files.completed import Completed
from pymonik.files.file import File
from pymonik.options import refuse_unknown
from pymonik.quantities import positive_s, whole_number
from pymonik.session.run import Run, SingleCalls
from pymonik.tasks.task import TASK_KEYWORDS, Task, output_names
from pymonik.wire import command_lines, shell_lines
from pymonik.wire.call import Command
from pymonik.wire.command_lines import Argument, CommandArguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from pymonik.code.references import Sealed
    from pymonik.options import TaskOptions

_KEYWORDS: Final = (
    "files", "outputs", "outputs_on", "ok", "check", "env", "name", "repeat", "every",
    *(name for name in TASK_KEYWORDS if name not in (
        "require_context", "function_name", "retry_on", "outputs", "setup", "cache",
        "retry_backoff",
    )),
)  # fmt: skip
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
_MOST_FILES_SHOWN: Final = 20
_MOST_TURNS: Final = 1_000_000_000
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
    words, is_line = _words(line)
    definition = Command(
        name=name or _program(words, is_line=is_line),
        words=words,
        is_line=is_line,
        outputs=output_names(outputs),
        keeps_outputs=_keeps(outputs_on),
        ok=_codes(ok),
        checks=check,
        env=_variables(env or {}),
        repeat=whole_number("repeat", repeat, 1, _MOST_TURNS),
        every_s=0.0 if every == 0 else positive_s(every, "every"),
    )
    return CommandTask(definition, tuple(_file(one) for one in files), options)


class CommandTask(Task[..., "Completed"]):
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
        self._fields = _fields_of(definition)
        self._bare = _bare_fields(definition)
        super().__init__(
            _Here(self), func_name=definition.name, outputs=definition.outputs, **options
        )
        self.has_folder = True

    def __reduce_ex__(self, protocol: Any) -> Any:
        found = super().__reduce_ex__(protocol)
        if isinstance(found, str):
            return found
        return CommandTask, (self.definition, self.files, self._options)

    def parts(self) -> tuple[object, ...]:
        """All that the task consists of."""
        return self.definition, self.files, self._options

    def __getstate__(self) -> tuple[object, ...]:
        return self.parts()

    def dry_run(self, *args: object, **kwargs: object) -> str:
        """What a call would run, as a line for the shell, and the files that it would have.

        Raises:
            ArgumentsError: The arguments do not fit.
        """
        call = self._pack(args, kwargs)
        arguments = command_lines.arguments_decoder.decode(call.blobs[0])
        names = [file.ref.name for file in call.files]
        shown = {
            field: [_shown(one, names, call.refs) for one in given]
            for field, given in arguments.fields.items()
        }
        is_line = self.definition.is_line
        words = command_lines.filled(self.definition.words, shown, is_line=is_line)
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
        content = hashlib.sha256(_definition_encoder.encode(definition)).hexdigest()[:32]
        return PackedFunction(content, self.name, b"", built_in=definition, files=sealed)

    def _gives_files(self) -> bool:
        return bool(self.outputs)

    def adopt(self, content_id: str) -> None:
        """Nothing to learn: it is never pickled."""

    def _new_run(self, options: TaskOptions) -> Run:
        run = super()._new_run(options)
        run.has_pickles = False
        return run

    @property
    def _single_calls(self) -> Run:
        run = SingleCalls(self, self.name, self.options.label or "", ())
        run.has_pickles = False
        return run

    def _pack_call(
        self,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        shared: object = None,
        seed: object = None,
    ) -> Packed:
        # What comes again is a file, which is uploaded once anyway; programs have no seed of ours.
        del shared, seed
        return self._pack(args, kwargs)

    def _pack(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Packed:
        """The arguments of a call as JSON, with the files and handles in them.

        Raises:
            ArgumentsError: A field is not given, or given twice, or there is none of that name.
        """
        call = _Call()
        given = dict(kwargs)
        for value in args:
            if _is_input(value):
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
            self._refuse_signs(key, call.shown(key))
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


class _Call:
    """The arguments of one call, as they are packed."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[Argument, ...]] = {}
        self._files: list[Argument] = []
        self._refs: list[Referable] = []
        self._sealed: list[Sealed] = []
        self._slots: dict[int, int] = {}

    def add_files(self, value: object) -> None:
        """Have files lie in the folder."""
        self._files += self._arguments(value, "")

    def fill(self, key: str, value: object) -> None:
        """What stands for a field, which has the form ``name!r:spec``."""
        self._fields[key] = tuple(self._arguments(value, key))

    def shown(self, key: str) -> list[str]:
        """The words of a field that are known now."""
        names = [file.ref.name for file in self._sealed]
        known = [argument for argument in self._fields[key] if argument.result < 0]
        return [_shown(argument, names, ()) for argument in known]

    def packed(self) -> Packed:
        """All of it."""
        arguments = CommandArguments(fields=self._fields, files=tuple(self._files))
        blob = command_lines.arguments_encoder.encode(arguments)
        return Packed((blob,), len(blob), self._refs, files=self._sealed)

    def _arguments(self, value: object, key: str) -> Iterator[Argument]:
        if isinstance(value, Known):
            yield from self._arguments(value.known_value(), key)
        elif isinstance(value, Completed):
            yield from self._arguments(list(value.files.values()), key)
        elif isinstance(value, Referable):
            yield Argument(result=self._slot(id(value._state), self._refs, value))
        elif isinstance(value, Enclosed):
            if id(value) not in self._slots:
                self._slot(id(value), self._sealed, value._seal())
            yield Argument(file=self._slots[id(value)])
        elif isinstance(value, ReferableGroup):
            for member in value._members():
                yield from self._arguments(member, key)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from self._arguments(one, key)
        else:
            yield Argument(text=_text(value, key))

    def _slot(self, key: int, slots: list[Any], value: object) -> int:
        if key not in self._slots:
            self._slots[key] = len(slots)
            slots.append(value)
        return self._slots[key]


def _text(value: object, key: str) -> str:
    """A value as it stands in the line.

    Raises:
        UsageError: It has no form there.
    """
    name, _, spec = key.partition(":")
    conversion = name.partition("!")[2]
    if isinstance(value, str | os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str | int | float) and type(value).__module__ != "numpy":
        kind = type(value).__name__
        raise UsageError(f"a {kind} cannot stand in a command line: give a text, number or File")
    try:
        shown = format(repr(value) if conversion == "r" else value, spec)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{{{key}}} cannot show {value!r}: {error}") from error
    if "\0" in shown:
        raise UsageError("a command line takes no zero bytes")
    return shown


def _shown(argument: Argument, names: Sequence[str], refs: Sequence[Referable]) -> str:
    if argument.text is not None:
        return argument.text
    if argument.file >= 0:
        return command_lines.place(names[argument.file])
    return f"<{refs[argument.result]._state.name or 'result'}>"


def _is_input(value: object) -> bool:
    """Whether a value by position is for the folder, not for a field."""
    if isinstance(value, list | tuple):
        return all(map(_is_input, value))
    return isinstance(value, Enclosed | Completed | Referable | ReferableGroup)


# -- what `command` is given ---------------------------------------------------------------------


def _words(line: str | Sequence[object]) -> tuple[tuple[str, ...], bool]:
    is_line = isinstance(line, str)
    given: Sequence[object] = (line,) if is_line else tuple(line)
    words = tuple(os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in given)
    if not words or not words[0].strip():
        raise UsageError("a command needs a program")
    if any("\0" in word for word in words):
        raise UsageError("a command line takes no zero bytes")
    return words, is_line


def _fields_of(definition: Command) -> dict[str, list[str]]:
    """The fields of a command, each with the forms in which it stands there.

    Raises:
        UsageError: A brace is not what it should be.
    """
    fields: dict[str, list[str]] = {}
    for word in definition.words:
        try:
            keys = [key for _, key in command_lines.fields_in(word) if key is not None]
        except ValueError as error:
            raise UsageError(f"{word!r}: {error}; a brace itself is written twice") from None
        for key in keys:
            name = key.partition(":")[0].partition("!")[0]
            if not name.isidentifier():
                raise UsageError(
                    f"{{{key}}} in {word!r} is no field: fields have names, and a brace itself is "
                    "written twice, {{ and }}"
                )
            known = fields.setdefault(name, [])
            if key not in known:
                known.append(key)
    return fields


def _bare_fields(definition: Command) -> list[str]:
    """Fields that stand where the shell knows no quotes."""
    if not definition.is_line:
        return []
    pieces = list(command_lines.fields_in(definition.words[0]))
    keys = [key for _, key in pieces if key is not None]
    places = shell_lines.places(pieces)
    return [
        key for key, at in zip(keys, places, strict=True) if not shell_lines.is_quoted_anyhow(at)
    ]


def _program(words: Sequence[str], *, is_line: bool) -> str:
    """The program of a command, for people."""
    first = words[0].split()[0] if is_line else words[0]
    return os.path.basename(first) or first  # noqa: PTH119


def _keeps(outputs_on: object) -> bool:
    if outputs_on not in ("success", "always"):
        raise UsageError(f"outputs_on is 'success' or 'always', not {outputs_on!r}")
    return outputs_on == "always"


def _codes(ok: Any) -> tuple[int, ...]:
    try:
        codes: tuple[Any, ...] = (ok,) if isinstance(ok, int) else tuple(ok)
    except TypeError:
        codes = (None,)
    if any(not isinstance(code, int) or isinstance(code, bool) for code in codes):
        raise UsageError(f"ok has exit codes, such as (0, 3), not {ok!r}")
    return codes


def _variables(env: Mapping[Any, Any]) -> dict[str, str]:
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"env must map strings to strings; look at {key!r}")
        if not key or "=" in key or "\0" in key + value:
            raise UsageError(f"no environment variable can be called {key!r}, or has such a value")
    return dict(env)


def _file(given: object) -> File:
    if isinstance(given, File):
        return given
    if isinstance(given, str | os.PathLike):
        return File(given)
    if isinstance(given, Referable | ReferableGroup):
        _refuse_handle()
    raise UsageError(f"files has File(path) or paths, not {given!r}")


def _refuse_handle() -> NoReturn:
    raise UsageError("files has files that are there now; pass the handle to invoke instead")
