"""What of a bundle a call can import and read: the modules, what they import, and data files.

It is read from the very bytes that travel: a file that is edited meanwhile must not give a key to
a value that other code has computed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.cache.codes import Part, digest_of_code, imports_by_text, parts_of_module
from pymonik.cache.named_files import texts_of
from pymonik.cache.walk import CannotDigestError
from pymonik.code.closure import each
from pymonik.code.imports import imported_names

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable

    from pymonik.code.bundle import Bundle
    from pymonik.code.first_party import Source
    from pymonik.wire.call import BundleFile

_CODE: Final = ".py"  # all other files of a bundle are data, or extension modules


class Reached(NamedTuple):
    """What calls can reach that refer to some modules.

    Attributes:
        parts: Functions, classes, statements and files, in the order of their names.
        packages: Top-level names of what else is imported.
        modules: Names of the modules.
        digest: Of the parts.
        texts: Constants of the modules that may be paths of files.
    """

    parts: tuple[Part, ...]
    packages: frozenset[str]
    modules: frozenset[str]
    digest: bytes
    texts: frozenset[str]


NOTHING: Final = Reached((), frozenset(), frozenset(), b"", frozenset())


def reached(bundle: Bundle, modules: frozenset[str], *, is_dynamic: bool) -> Reached:
    """What calls reach that refer to these modules.

    Args:
        bundle: That travels with the calls.
        modules: To which function and arguments refer.
        is_dynamic: Whether the function may import what nothing names: all of the bundle counts.

    Raises:
        CannotDigestError: A file has changed since the bundle was made.
    """
    walk = _Walk(bundle)
    walk.follow(modules)
    walk.follow_those_that_register()
    if is_dynamic or walk.is_dynamic:
        walk.take_all()
    parts = sorted({*walk.parts, *walk.data()})
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.name}\0{part.digest}\n".encode("utf-8", "surrogateescape"))
    for name in sorted(walk.whole):
        digest.update(name.encode("utf-8", "surrogateescape") + walk.whole[name])
    return Reached(
        tuple(parts),
        frozenset(walk.packages),
        frozenset(walk.whole),
        digest.digest(),
        texts_of(walk.codes),
    )


class _Walk:
    """Goes from module to module.

    Attributes:
        whole: Digests of the code of modules, by their names.
        codes: Of the modules.
        is_dynamic: Whether one of them may import what its code does not name.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._files = {_path_at_client(bundle, file.path): file for file in bundle.meta.files}
        self._seen: set[str] = set()
        self._tops: set[str] = set()  # first folders, in the bundle, of the modules
        self._taken: set[str] = set()  # paths of files that are modules
        self.parts: list[Part] = []
        self.packages: set[str] = set()
        self.whole: dict[str, bytes] = {}
        self.codes: list[types.CodeType] = []
        self.is_dynamic = False

    def follow(self, names: Iterable[str]) -> None:
        """Read modules, the packages around them, and what they import."""
        for name, source in each(names, self._seen, self._read):
            if source is None:
                self.packages.add(name.partition(".")[0])

    def _read(self, source: Source) -> frozenset[str]:
        """Note what is in a module; names that it imports."""
        file = self._files.get(source.file)
        if source.file and file is None:  # installed beside the program
            self.packages.add(source.top)
            return frozenset()
        if file is None:
            return frozenset()
        self._tops.add(_top_of(file.path))
        if not file.path.endswith(_CODE):
            return frozenset()  # an extension module: it is among the data
        self._taken.add(file.path)
        code = _code_of(self._bundle, file, source.file)
        self.whole[source.name] = digest_of_code(code)
        self.codes.append(code)
        self.parts += parts_of_module(code, source.name)
        self.is_dynamic = self.is_dynamic or imports_by_text(code)
        package = source.name if source.folders else source.name.rpartition(".")[0]
        return imported_names(code, package)

    def follow_those_that_register(self) -> None:
        """Modules that are imported first since they import a reached one: they may change it."""
        reached = set(self.whole)
        for name in self._bundle.meta.imports:
            # A walk of its own, which is thrown away: most of these modules are not reached.
            walk = _Walk(self._bundle)
            walk.follow([name])
            if not reached.isdisjoint(walk.whole):
                self.follow([name])

    def take_all(self) -> None:
        """Count every file of the bundle: any of them may be imported."""
        for file in self._bundle.meta.files:
            if file.path.endswith(_CODE) and file.path not in self._taken:
                path = _path_at_client(self._bundle, file.path)
                code = _code_of(self._bundle, file, path)
                name = _below_root(file.path)
                self.whole[name] = digest_of_code(code)
                self.codes.append(code)
                self.parts += parts_of_module(code, name)
            self._tops.add(_top_of(file.path))

    def data(self) -> list[Part]:
        """Files that are no modules: those of reached packages, and those of no package."""
        packages = {_top_of(f.path) for f in self._bundle.meta.files if f.path.endswith(_CODE)}
        return [
            Part(f"file {_below_root(file.path)}", file.digest)
            for file in self._bundle.meta.files
            if not file.path.endswith(_CODE)
            and (_top_of(file.path) in self._tops or _top_of(file.path) not in packages)
        ]


def _code_of(bundle: Bundle, file: BundleFile, path: str) -> types.CodeType:
    known = _codes.get(file.digest)
    if known is None:
        try:
            data = bundle.contents.get(file.digest)
            # ``dont_inherit``: the ``from __future__`` lines of this file are not those of that
            # one.
            known = compile(data, path, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError) as error:
            raise CannotDigestError(f"{path} cannot be read: {error}") from error
        if len(_codes) >= _MOST_CODES:
            _codes.clear()
        _codes[file.digest] = known
    return known


_codes: dict[str, types.CodeType] = {}  # by the digest of the file
_MOST_CODES: Final = 4096  # compiled modules that are remembered


def _path_at_client(bundle: Bundle, path: str) -> str:
    number, _, below = path.partition("/")
    origins = dict(zip(bundle.meta.roots, bundle.meta.origins, strict=True))
    return f"{origins.get(number, '')}/{below}"


def _below_root(path: str) -> str:
    return path.partition("/")[2]


def _top_of(path: str) -> str:
    """Root and first folder or file: a package, or a module that stands alone."""
    number, _, below = path.partition("/")
    return f"{number}/{below.partition('/')[0]}"
