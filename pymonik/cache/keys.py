"""`Keys`: which calls must give the same value.

::

    code         ──► the function with all that it reaches in `__main__`, by content
                 ──► modules in the bundle that travels, what they import, data files, settings
                 ──► files that lie here under names that stand in the code
                 ──► installed packages, and what they require
    environment  ──► packages and variables that were asked for, Python's minor version
    arguments    ──► by content; handles by the key of their call

A key is the three digests with dots between them, the code first: so the keys of one function are
found by how they start.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pymonik.cache.canonical import Digested, digest_of, digested
from pymonik.cache.codes import Part, imports_by_text
from pymonik.cache.installed_packages import versions
from pymonik.cache.named_files import named_files, texts_of
from pymonik.cache.reached import NOTHING, Reached, reached
from pymonik.cache.walk import CannotDigestError
from pymonik.code.settings import values_in
from pymonik.session.result import ResultState, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.code.references import Named
    from pymonik.code.with_calls import Code
    from pymonik.options import TaskOptions
    from pymonik.wire.environment import Environment

# Part of each digest: raised where the same code comes to another digest, and keys of older
# versions are not found.
_FORMAT: Final = b"pymonik cache 1"
_LENGTH: Final = 32  # characters of a digest in a key
_MOST_KNOWN: Final = 512  # functions, and sets of modules, whose digests are remembered


class CodeKey(NamedTuple):
    """The code that a call runs.

    Attributes:
        digest: In hexadecimal.
        parts: What it consists of, for people.
    """

    digest: str
    parts: tuple[Part, ...]


class _Code(NamedTuple):
    """A code key without the files that the code names, and the texts that may name some."""

    key: CodeKey
    texts: frozenset[str]


class Keys:
    """Makes keys, and remembers digests of functions and bundles.

    Two threads may do the same work twice; nothing worse happens.
    """

    def __init__(self) -> None:
        self._functions: dict[str, Digested] = {}  # by content id
        self._reached: dict[tuple[str, frozenset[str], bool], Reached] = {}
        self._codes: dict[tuple[str, frozenset[str], str, bytes], _Code] = {}
        self._with_files: dict[str, CodeKey] = {}  # by digest: those whose code names files

    def code(
        self,
        task: Named,
        function: PackedFunction,
        call: Packed,
        program: Code,
        made_in: str = "",
    ) -> CodeKey:
        """The key of the code of a call.

        Args:
            task: What is called.
            function: The same, packed.
            call: Its arguments.
            program: What goes with it.
            made_in: A folder of what such calls have made: code may name it, but does not read it.

        Raises:
            CannotDigestError: Part of the function cannot be digested.
        """
        modules = function.modules | call.modules
        bundle = program.bundle
        known = function.content_id, modules, bundle.digest if bundle else "", program.settings
        code = self._codes.get(known)
        if code is None:
            code = self._new_code(self._function(task, function), modules, program)
            _remember(self._codes, known, code)
        return self._with_named_files(code, made_in) if code.texts else code.key

    def _with_named_files(self, code: _Code, made_in: str) -> CodeKey:
        """The key with the files that the code names, as they are now."""
        files = named_files(code.texts, made_in)
        if not files:
            return code.key
        digest = hashlib.sha256(code.key.digest.encode())
        _add(digest, files)
        key = CodeKey(digest.hexdigest()[:_LENGTH], tuple(sorted({*code.key.parts, *files})))
        _remember(self._with_files, key.digest, key)
        return key

    def parts_of(self, digest: str) -> tuple[Part, ...]:
        """What the code with this digest consists of; empty where this process has not made it."""
        keys = [one.key for one in list(self._codes.values())]
        keys += list(self._with_files.values())
        return next((key.parts for key in keys if key.digest == digest), ())

    def _function(self, task: Named, function: PackedFunction) -> Digested:
        if function.built_in is not None:
            raise CannotDigestError("what is built in has files: see save_to= and resume=")
        found = self._functions.get(function.content_id)
        if found is None:
            try:
                found = digested(task)
            except CannotDigestError as error:
                raise CannotDigestError(f"the function refers to {error}") from error
            _remember(self._functions, function.content_id, found)
        return found

    def _new_code(self, own: Digested, modules: frozenset[str], program: Code) -> _Code:
        is_dynamic = any(map(imports_by_text, own.codes))
        there = self._files(modules | own.modules, program, is_dynamic=is_dynamic)
        firsts = {name.partition(".")[0] for name in there.modules}
        # Data of settings and versions of packages may change without any file of the bundle.
        more = [
            *_settings(program.settings, there.modules),
            *versions((own.packages | there.packages) - firsts),
        ]
        digest = hashlib.sha256(_FORMAT + own.digest + there.digest)
        _add(digest, more)
        parts = sorted({*own.parts, *there.parts, *more})
        key = CodeKey(digest.hexdigest()[:_LENGTH], tuple(parts))
        return _Code(key, texts_of(own.codes) | there.texts)

    def _files(self, modules: frozenset[str], program: Code, *, is_dynamic: bool) -> Reached:
        bundle = program.bundle
        if bundle is None:
            return NOTHING
        known = bundle.digest, modules, is_dynamic
        found = self._reached.get(known)
        if found is None:
            found = reached(bundle, modules, is_dynamic=is_dynamic)
            _remember(self._reached, known, found)
        return found


keys: Final = Keys()  # of this process: sessions that follow each other run the same functions


def environment_key(options: TaskOptions, around: Environment) -> str:
    """What a call gets around it, and the Python that runs it.

    Args:
        options: Of the call.
        around: What the session gives to all calls.
    """
    environment = around if options.environment is None else options.environment.over(around)
    variables = sorted(environment.env_variables.items())
    about = (sys.version_info[:2], environment.packages_id, tuple(variables))
    return digest_of(about).hex()[:_LENGTH]


def arguments_key(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    seed: object,
    *,
    takes_files: bool = False,
) -> bytes:
    """What a call is called with.

    Args:
        args: By position.
        kwargs: By keyword, in an order that says nothing unless the function can see it.
        seed: Of its random numbers.
        takes_files: Whether files may be among them, which count by their content.

    Raises:
        CannotDigestError: Nobody can tell whether they are the same as others.
    """
    found = digested((args, kwargs, seed), _key_of, takes_files=takes_files)
    digest = hashlib.sha256(found.digest)
    for part in versions(found.packages):
        digest.update(f"{part.name}\0{part.digest}\n".encode())
    return digest.hexdigest()[:_LENGTH].encode()


def _key_of(state: ResultState) -> bytes:
    """What stands for a handle: the key of its call, or its value where that is there."""
    if state.cached is not None and state.cached.key:
        return b"call " + f"{state.cached.key} {state.output}".rstrip().encode()
    if state.status is not Status.COMPLETED:
        raise CannotDigestError(
            "a handle of a call that is not cached and has not ended (give it cache=True too)"
        )
    # The value is opened for its digest only and let go of again: its handle opens it anew.
    (opened,) = state.session.fetch([state])
    value = opened.value(state.item, output=state.output)
    try:
        return b"value" + digest_of(value)
    finally:
        state.news = None


def _settings(data: bytes, modules: frozenset[str]) -> list[Part]:
    """Variables that the program has set in modules that calls reach."""
    return [
        Part(f"setting {module}.{name}", digest_of(value).hex()[:_LENGTH])
        for module, values in sorted(values_in(data).items())
        if module in modules
        for name, value in sorted(values.items())
    ]


def _add(digest: Any, parts: Iterable[Part]) -> None:
    for part in parts:
        digest.update(f"{part.name}\0{part.digest}\n".encode("utf-8", "surrogateescape"))


def _remember(known: dict[Any, Any], key: object, value: object) -> None:
    if len(known) >= _MOST_KNOWN:
        # All at once: a program with more functions than that makes them in a loop, and finds none
        # of them again.
        known.clear()
    known[key] = value


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a digest of code stands for; a small result, for `explain`."""

    function: str
    parts: tuple[Part, ...]
