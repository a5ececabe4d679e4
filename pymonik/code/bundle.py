"""The program's own files that the calls of a session may import, as one value with an id.

::

    modules that calls refer to ─► closure (what they import) ─► units (packages, modules, data)
                                                                     │
                         `Bundle`: manifest with digests ◄───────────┘

It only grows while files stay as they are, so that a running executor can join a later one. Files
are looked at again when a call is made, but never for more than a fortieth of the time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymonik.code import first_party, travelling_files
from pymonik.code.closure import Closure, code_of, find, imports_of
from pymonik.code.first_party import Kind
from pymonik.code.units import ArchiveUnit, Unit, data_named_by
from pymonik.errors import UsageError
from pymonik.wire.call import BundleFile, BundleMeta

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Mapping, Sequence

    from pymonik.code.first_party import Source

_log = logging.getLogger(__name__)

_SHARE: Final = 40  # looking at files takes at most one part in so many of the time
_VENDORED_BYTES: Final = 64 * 1024 * 1024  # of one package that is installed beside the program
_MOST_CANDIDATES: Final = 500  # modules that are asked whether they import one that travels


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Files at one moment.

    Attributes:
        digest: Of the manifest.
        meta: The manifest.
        contents: Gives the bytes of files that were not uploaded yet.
    """

    digest: str
    meta: BundleMeta
    contents: Contents


class Contents:
    """Bytes of files by digest, until they are uploaded."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}
        self._places: dict[str, tuple[Unit, str]] = {}

    def take_from(self, unit: Unit) -> None:
        """Keep what a unit has read."""
        self._bytes.update(unit.new)
        unit.new = {}
        self._places.update({digest: (unit, path) for path, (digest, _) in unit.digests.items()})

    def get(self, digest: str) -> bytes:
        """The bytes of a file of this session.

        Raises:
            OSError: It was uploaded before, and is not there any more.
        """
        data = self._bytes.get(digest)
        if data is None:
            unit, path = self._places[digest]
            data = unit.read(path)
            if travelling_files.digest_of(data) != digest:
                raise OSError(f"{path} has changed")
        return data

    def uploaded(self, digests: Iterable[str]) -> None:
        """Forget what need not be sent again."""
        for digest in digests:
            self._bytes.pop(digest, None)


class Bundler:
    """Knows what the calls of one session refer to, and the files behind it. Thread-safe.

    Whoever looks takes the tables away until they are whole again. So a look that an interrupt has
    ended leaves none behind, and a signal handler or a finalizer that submits in the middle of one
    finds none: either begins with empty ones, which costs some milliseconds.

    Args:
        include: Modules and files that travel in any case.
        exclude: Patterns of paths that do not.
        shares_paths: Workers see the folders of this machine: packages that are installed beside
            the program are imported from where they are.
    """

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        *,
        shares_paths: bool = False,
    ) -> None:
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._shares_paths = shares_paths
        self._told: set[str] = set()  # files that somebody was warned of
        self._lock = threading.RLock()
        self._closure = Closure()
        self._tables: _Tables | None = None

    @property
    def closure(self) -> Closure:
        """The modules that travel."""
        return self._closure

    def bundle(self, modules: frozenset[str]) -> Bundle | None:
        """The files that calls need which refer to these modules; ``None`` where none does."""
        tables = self._tables
        if tables is not None and tables.are_current(modules):
            return tables.bundle
        with self._lock:
            tables, self._tables = self._tables, None
            if tables is None:
                tables = _Tables(
                    self._include, self._exclude, self._told, shares_paths=self._shares_paths
                )
            bundle = tables.looked(modules)
            self._tables, self._closure = tables, tables.closure
        return bundle


class _Tables:
    """What one look after the other has found. For one thread at a time.

    Attributes:
        closure: The modules that travel.
        bundle: Their files; ``None`` where there are none.
    """

    def __init__(
        self,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        told: set[str],
        *,
        shares_paths: bool,
    ) -> None:
        self._include = include
        self._exclude = exclude
        self._shares_paths = shares_paths
        self._told = told
        self.closure = Closure()
        self._reached: set[str] = set()
        self._specs: dict[str, object] = {}  # of reached modules: a reloaded one has another
        self._units: dict[tuple[str, str], Unit] = {}
        self._roots: dict[str, str] = {}  # name in the bundle, by root
        self._contents = Contents()
        self.bundle: Bundle | None = None
        self._modules_known = 0
        self._next_look = 0.0
        self._is_begun = not include

    def are_current(self, modules: frozenset[str]) -> bool:
        """Whether the bundle has all files of these modules, and nothing is to be looked at.

        One function, without others: it runs for each call.
        """
        if not (modules <= self._reached and self._is_begun):
            return False
        if not self._reached:
            return True
        known = sys.modules
        # The number of modules stands for all of them: comparing it costs nothing, and an import
        # adds one.
        if time.monotonic() >= self._next_look or self._modules_known != len(known):
            return False
        for name in modules:  # faster than `all`: nearly always there is one
            if getattr(known.get(name), "__spec__", None) is not self._specs.get(name):
                return False
        return True

    # -- looking -------------------------------------------------------------------------------

    def looked(self, modules: frozenset[str]) -> Bundle | None:
        """The files of these modules and of all before, as they are now."""
        start = time.monotonic()
        changed = [path for unit in self._units.values() for path in unit.changed()]
        spent = 0.0 if changed else time.monotonic() - start
        is_new = self._reach(modules)
        if changed:
            self._tell_changed(changed)
            self.closure.forget_absent()
            self.closure.read_again(changed)
        if is_new or changed or self._modules_known != len(sys.modules):
            self._modules_known = len(sys.modules)
            self._add_units()
            self.bundle = self._made()
        # `spent` is 0 where a file had changed: then the next call looks again at once.
        self._next_look = time.monotonic() + _SHARE * spent
        self._remember(self.closure.sources if is_new or changed else modules)
        return self.bundle

    def _reach(self, modules: frozenset[str]) -> bool:
        """Note which modules are referred to; whether there are new ones."""
        new = set(modules - self._reached)
        if not self._is_begun:
            new |= self._included()
            self._is_begun = True
        self._reached |= new
        self.closure.add(new)
        return bool(new)

    def _remember(self, modules: Iterable[str]) -> None:
        """Note which modules these are: one that was reloaded has another specification."""
        for name in modules:
            self._specs[name] = getattr(sys.modules.get(name), "__spec__", None)

    def _included(self) -> set[str]:
        """Modules of ``include``; its files get units at once.

        Raises:
            UsageError: There is neither a file nor a module of that name.
        """
        modules: set[str] = set()
        for one in self._include:
            path = os.path.abspath(one)
            if os.path.exists(path):
                self._include_path(path)
            elif find(one) is not None:
                modules.add(one)
            else:
                raise UsageError(
                    f"include= has {one!r}, which is no file here and no module of the program; "
                    "what is installed does not travel: name it in environment="
                )
        return modules

    def _include_path(self, path: str) -> None:
        roots = [root for root in _roots_of_program() if path.startswith(root + os.sep)]
        root = max(roots, key=len, default=os.path.dirname(path))
        # Under a key of its own: a package that calls refer to as well has bounds for its data, and
        # what was asked for has none.
        self._unit((root, f"{path} (included)"), [path], is_asked_for=True)

    def _tell_changed(self, paths: Iterable[str]) -> None:
        """Warn once of each file that was changed after it was imported and not reloaded."""
        by_file = {one.file: one.name for one in self.closure.sources.values()}
        for path in paths:
            name = by_file.get(path)
            if name is None or name not in sys.modules or path in self._told:
                continue
            spec = getattr(sys.modules[name], "__spec__", None)
            if spec is self._specs.get(name, spec):
                self._told.add(path)
                _log.warning(
                    "%s has changed since it was imported; tasks run the file as it is now", path
                )

    # -- units ---------------------------------------------------------------------------------

    def _add_units(self) -> None:
        for name in _that_register(self._reached):
            self.closure.add([name])
        for source in list(self.closure.sources.values()):
            if source.kind is Kind.VENDORED and self._shares_paths:
                continue
            self._add_unit(source)

    def _add_unit(self, source: Source) -> None:
        key = (source.root, source.top)
        if key in self._units:
            return
        archive = travelling_files.archive_of(source.root)
        if archive is not None:
            key = (source.root, "")
            if key not in self._units:
                self._units[key] = ArchiveUnit(source.root, archive, self._exclude)
                self._take(self._units[key])
            return
        package = os.path.join(source.root, source.top)
        if os.path.isdir(package) and (source.folders or source.name != source.top):
            self._add_package(key, package, source)
        elif source.file:
            code = code_of(source)
            data = data_named_by(code, source.root) if code is not None else []
            self._unit(key, [source.file, *data])

    def _add_package(self, key: tuple[str, str], package: str, source: Source) -> None:
        if source.kind is Kind.VENDORED and (size := _size(package)) > _VENDORED_BYTES:
            if package not in self._told:
                self._told.add(package)
                _log.warning(
                    "%s is installed beside the program and has %d MiB: it does not travel; name "
                    "it in environment= so that workers install it",
                    package,
                    size >> 20,
                )
            return
        self._unit(key, [package])

    def _unit(
        self, key: tuple[str, str], paths: Sequence[str], *, is_asked_for: bool = False
    ) -> None:
        unit = Unit(key[0], paths, self._exclude, is_asked_for=is_asked_for)
        self._units[key] = unit
        self._take(unit)

    def _take(self, unit: Unit) -> None:
        self._roots.setdefault(unit.root, str(len(self._roots)))
        for why in dict.fromkeys(unit.left_out.values()):
            paths = [path for path, reason in unit.left_out.items() if reason == why]
            new = [path for path in paths if path not in self._told]
            self._told.update(new)
            if new:
                others = f" and {len(new) - 1} more" if len(new) > 1 else ""
                _log.warning(
                    "%s%s do not travel with the calls: %s; name what tasks read in "
                    "Pymonik(include=), or what they do not in exclude=",
                    *(new[0], others, why),
                )

    # -- the manifest --------------------------------------------------------------------------

    def _made(self) -> Bundle:
        found: dict[str, tuple[str, int]] = {}
        for unit in self._units.values():
            self._contents.take_from(unit)
            name = self._roots[unit.root]
            found.update({f"{name}/{path}": about for path, about in unit.digests.items()})
        roots = _in_order_of_path(self._roots)
        meta = BundleMeta(
            files=tuple(BundleFile(path, *found[path]) for path in sorted(found)),
            roots=tuple(self._roots[root] for root in roots),
            origins=tuple(roots),
            imports=tuple(_that_register(self._reached)),
            paths=tuple(self._installed_paths()),
        )
        return Bundle(_digest(meta), meta, self._contents)

    def _installed_paths(self) -> list[str]:
        if not self._shares_paths:
            return []
        vendored = {one.root for one in self.closure.sources.values() if one.kind is Kind.VENDORED}
        return _in_order_of_path(vendored)


def _digest(meta: BundleMeta) -> str:
    digest = hashlib.sha256()
    for file in meta.files:
        digest.update(f"{file.path}\0{file.digest}\n".encode("utf-8", "surrogateescape"))
    for part in (meta.roots, meta.origins, meta.imports, meta.paths):
        digest.update("\0".join((*part, "\n")).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _in_order_of_path(roots: Mapping[str, str] | set[str]) -> list[str]:
    """Roots as the program searches them; those that left its path come last."""
    order = [os.path.abspath(entry or ".") for entry in sys.path]
    return sorted(roots, key=lambda root: order.index(root) if root in order else len(order))


def _size(folder: str) -> int:
    paths = [path for path, is_folder in travelling_files.walk(folder) if not is_folder]
    return sum(stat[1] for path in paths if (stat := travelling_files.stat_of(path)) is not None)


def _roots_of_program() -> list[str]:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    own = [os.path.dirname(os.path.abspath(main))] if isinstance(main, str) else []
    return [*own, *(os.path.abspath(entry or ".") for entry in sys.path)]


def _that_register(reached: set[str]) -> list[str]:
    """Modules that the program has imported and that may have changed a reached one by it.

    A plug-in that registers itself has to import what it registers with. So of the program's
    modules those that import a reached one, directly or not, are imported at the worker too,
    before a call runs, in the order in which they were imported here.
    """
    if not reached:
        return []
    leads: dict[str, bool] = dict.fromkeys(reached, True)
    return [name for name in _candidates() if _leads_to(name, leads)]


def _candidates() -> list[str]:
    """The program's own modules, in the order of their import.

    Where the program is somebody else's (pytest, a server), what it has imported of the user's is
    not meant for all calls.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    names = list(sys.modules)
    if isinstance(file, str):
        path = os.path.abspath(file)
        kind = first_party.kind_of_file("__main__", path, os.path.dirname(path))
        if kind is not Kind.FIRST_PARTY:
            return []
    else:
        tops = _tops_of(main)
        names = [name for name in names if name.partition(".")[0] in tops]
    return [name for name in names if first_party.is_first_party(name)][:_MOST_CANDIDATES]


def _tops_of(main: types.ModuleType | None) -> set[str]:
    """Top-level names of the modules that names of an interactive program refer to."""
    tops: set[str] = set()
    for value in list(vars(main).values()) if main is not None else ():
        try:
            name = getattr(value, "__name__" if hasattr(value, "__path__") else "__module__", None)
            name = name or getattr(value, "__name__", None)
        except Exception:  # noqa: BLE001 - a lazy object of the user's
            continue
        if isinstance(name, str):
            tops.add(name.partition(".")[0])
    return tops


def _leads_to(name: str, leads: dict[str, bool]) -> bool:
    """Whether importing a module imports one for which ``leads`` is true; notes what it finds."""
    known = leads.get(name)
    if known is not None:
        return known
    leads[name] = False  # while it is looked at: modules may import each other
    source = first_party.source_of(sys.modules.get(name), name)
    if source is not None and source.kind is Kind.FIRST_PARTY:
        imported = {*imports_of(source), name.rpartition(".")[0]} - {""}
        leads[name] = any(
            _leads_to(one, leads) for entry in sorted(imported) for one in (entry, *_above(entry))
        )
    return leads[name]


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]
