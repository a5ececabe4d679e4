"""Runs the calls of commands: in a folder of their own, without unpickling anything.

A command that fails has its failure as a value: an agent of ArmoniK keeps nothing of a task that
failed, neither what it wrote nor its files.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.executor.standard_streams import flush
from pymonik.executor.workplace import MissingOutputError
from pymonik.files.completed import Completed, text
from pymonik.launch import captured
from pymonik.wire import command_lines
from pymonik.wire.call import COMPLETED, Command, ItemMeta
from pymonik.wire.command_lines import Ran
from pymonik.wire.failure import Failure, Raised, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.context.task_context import PymonikContext
    from pymonik.executor.outgoing import Outgoing
    from pymonik.executor.workplace import Workplace
    from pymonik.wire.call import CallMeta, Origin
    from pymonik.wire.command_lines import Argument, CommandArguments
    from pymonik.wire.containers import Buffer

_TOLD_LINES = 20  # the last ones of its standard error, in the text of a failure
_TOLD_BYTES = 4096  # bytes of those lines, since a line may be of any length
_LOOK_S = 0.25  # seconds between two looks at whether the worker drains, which nothing signals


class CommandCall:
    """One call of a command.

    Args:
        command: What is run.
        call: What the call refers to.
        blobs: Its arguments.
        value: Gives the values of its references.
        place: Its folder.
        context: Gives that of the call; ``None`` in a program.
    """

    def __init__(
        self,
        command: Command,
        call: CallMeta,
        blobs: Sequence[Buffer],
        value: Callable[[int], Any] | None,
        place: Workplace,
        context: Callable[[], PymonikContext] | None = None,
    ) -> None:
        self._context = context
        self._command = command
        self._call = call
        self._value = value
        self._place = place
        self._arguments: CommandArguments = command_lines.arguments_decoder.decode(blobs[0])

    def outcome(
        self, outgoing: Outgoing, origin: Callable[[], Origin]
    ) -> tuple[ItemMeta, Sequence[Buffer]]:
        """Run it: the item for its value or its failure, and the blobs of that."""
        ran, problem, names = self.ended()
        # Outputs of a failed command are stored only where the command asks for it.
        is_kept = not problem or self._command.keeps_outputs
        sealed = [self._place.output(name)._seal() for name in names] if is_kept else []
        refs, blobs = outgoing.send(sealed, 1)
        if problem:
            first, form = encode(self.failure(ran, problem, origin())), 0
        else:
            first, form = command_lines.ran_encoder.encode(ran), COMPLETED
        item = ItemMeta(1 + len(blobs), failed=bool(problem), form=form, files=refs)
        return item, [first, *blobs]

    def failure(self, ran: Ran, problem: str, origin: Origin) -> Failure:
        """What is told of a command that failed."""
        raised = Raised("pymonik.errors", "CommandError", problem)
        return Failure((raised,), self._shown(ran), origin, ran.seconds, ran)

    def ended(self) -> tuple[Ran, str, list[str]]:
        """Run it: how it ended the last time, what is wrong with that, and names of outputs.

        The first failure ends the repetitions.
        """
        words = self._words()
        turn = 1
        while True:
            start = time.monotonic()
            ran, problem, names = self._ran(words)
            if self._command.repeat > 1:
                self._report(turn, ran)
            if problem or turn >= self._command.repeat or not self._pause(start):
                return ran, problem, names
            turn += 1

    def _report(self, turn: int, ran: Ran) -> None:
        if self._context is not None:
            self._context().report(
                turn=turn,
                rc=ran.rc,
                stdout=text(ran.stdout),
                stderr=text(ran.stderr),
                seconds=ran.seconds,
            )

    def _pause(self, start: float) -> bool:
        """Wait until it is due again; whether it is, and the task is not to come to its end.

        An interrupt ends the wait. Nobody tells of a worker that drains: it is looked at.
        """
        while True:
            if self._context is not None and self._context().stopping:
                return False
            left_s = start + self._command.every_s - time.monotonic()
            if left_s <= 0:
                return True
            time.sleep(min(left_s, _LOOK_S))

    def _ran(self, words: Sequence[str]) -> tuple[Ran, str, list[str]]:
        """How it ended, what is wrong with that, and its outputs."""
        line = words[0] if self._command.is_line else shlex.join(words)
        # What Python has printed so far comes before what the command writes to the same file.
        flush()
        ended = captured.run(
            ["/bin/sh", "-c", line] if self._command.is_line else words,
            folder=self._place.folder,
            variables=_variables(self._command.env),
            on_output=_echo,
        )
        ran = Ran(ended.rc, ended.seconds, line, ended.stdout, ended.stderr)
        problem = ""
        if self._command.checks and ended.rc not in self._command.ok:
            problem = _problem(ran)
        names, unmatched, missing = self._outputs()
        # A command whose exit code is already a problem is told by that; the missing file is its
        # consequence.
        if missing and not problem and (self._command.checks or ended.rc in self._command.ok):
            problem = f"{missing}; the command was: {line}{_last_lines(ran)}"
        told = tuple(f"no file matches the output {pattern!r}" for pattern in unmatched)
        for warning in told if not problem else ():
            print(f"pymonik: {warning}", file=sys.stderr)  # noqa: T201
        return msgspec.structs.replace(ran, warnings=told), problem, names

    def _outputs(self) -> tuple[list[str], list[str], str]:
        """Names that are there, patterns that match nothing, and what is said of a missing name."""
        found: dict[str, None] = {}
        unmatched: list[str] = []
        missing = ""
        for pattern in self._command.outputs:
            try:
                names, without = self._place.matched([pattern])
            except MissingOutputError as error:
                missing = missing or str(error)
                continue
            found.update(dict.fromkeys(names))
            unmatched += without
        return list(found), unmatched, missing

    def _shown(self, ran: Ran) -> str:
        return ran.command if len(ran.command) < 200 else ran.command[:200] + "..."

    # -- words -----------------------------------------------------------------------------------

    def _words(self) -> list[str]:
        for ref in self._command.files:
            self._place.file(ref)
        for argument in self._arguments.files:
            list(self._of(argument))
        fields = {
            name: [word for argument in arguments for word in self._of(argument)]
            for name, arguments in self._arguments.fields.items()
        }
        return command_lines.filled(self._command.words, fields, is_line=self._command.is_line)

    def _of(self, argument: Argument) -> Iterable[str]:
        """The words that an argument stands for; its files lie in the folder afterwards."""
        if argument.text is not None:
            return [argument.text]
        if argument.file >= 0:
            return self._of_value(self._place.file(self._call.files[argument.file]))
        if self._value is None:
            raise ValueError("the call refers to a value that it does not have")
        return self._of_value(self._value(argument.result))

    def _of_value(self, value: Any) -> Iterable[str]:
        if isinstance(value, os.PathLike):
            path = os.path.relpath(os.fspath(value), self._place.folder)
            return [command_lines.place(path)]
        if isinstance(value, Completed):
            return [word for file in value.files.values() for word in self._of_value(file)]
        if isinstance(value, list | tuple):
            return [word for one in value for word in self._of_value(one)]
        return [str(value)]


def _problem(ran: Ran) -> str:
    how = f"exited with {ran.rc}" if ran.rc >= 0 else f"was ended by signal {-ran.rc}"
    return f"the command {how}: {ran.command}{_last_lines(ran)}"


def _last_lines(ran: Ran) -> str:
    """The end of what it wrote to its standard error, or else to its standard output."""
    said = text((ran.stderr.strip() or ran.stdout.strip())[-_TOLD_BYTES:])
    lines = said.splitlines()[-_TOLD_LINES:]
    return "".join(f"\n  {line}" for line in lines)


def _variables(own: dict[str, str]) -> dict[bytes, bytes]:
    """What a command has around it: what a task has, unbuffered prints, and a `python`."""
    variables = dict(os.environb)  # as bytes: to decode all of them takes a tenth of a short call
    variables[b"PYTHONUNBUFFERED"] = b"1"
    variables.update((os.fsencode(name), os.fsencode(value)) for name, value in own.items())
    here = os.fsencode(os.path.dirname(sys.executable))  # noqa: PTH120
    path = variables.get(b"PATH", os.fsencode(os.defpath))
    if here not in path.split(b":"):  # last: it is there if nothing else is
        variables[b"PATH"] = path + b":" + here
    return variables


def _echo(number: int, data: bytes) -> None:
    """What it writes is what the call prints: shown and kept as that is."""
    view = memoryview(data)
    while view:
        # `os.write` may write less than it was given.
        view = view[os.write(number, view) :]
