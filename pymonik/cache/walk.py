"""`Walk`: goes through a value and writes what it finds into a digest.

How a value of some type is written is for `pymonik.cache.canonical` to say. Here is what all types
share: the digest, the numbers of objects that were met, and what is noted beside the digest.
"""

from __future__ import annotations

import hashlib
import types
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pymonik.cache.codes import Part, atom
from pymonik.code import first_party
from pymonik.code.references import Named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pymonik.session.result import ResultState

    Writer: TypeAlias = Callable[["Walk", Any], None]

# Values that have no parts. They get no number among the objects that were met: whether two of them
# are one object is an accident of the interpreter.
_ATOMS: Final = frozenset(
    {str, int, float, bool, bytes, complex, type(None), type(Ellipsis), type(NotImplemented)}
)
_MOST_OBJECTS: Final = 1_000_000  # of one value: whoever has more does not wait for a digest of it
# Types whose values note parts of their own.
_HAVE_PARTS: Final = (types.FunctionType, type, types.ModuleType, Named)


class CannotDigestError(Exception):
    """A value, or part of it, of which nobody can tell whether it is the same elsewhere."""


class Walk:
    """A digest in the making.

    Args:
        writer_of: What writes a value of a type.
        key_of: What stands for a handle; without it, handles cannot be digested.
        notes_parts: Whether variables are noted as parts.
        takes_files: Whether a file counts by its content.

    Attributes:
        modules: Those that the value refers to by name and that travel as files.
        packages: Top-level names of installed packages that it refers to.
        parts: Functions, classes and variables that it consists of.
        codes: Code objects that were met.
    """

    def __init__(
        self,
        writer_of: Callable[[type], Writer],
        key_of: Callable[[ResultState], bytes] | None,
        *,
        notes_parts: bool = True,
        takes_files: bool = False,
    ) -> None:
        self._writer_of = writer_of
        self._notes_parts = notes_parts
        self.key_of = key_of
        self.takes_files = takes_files
        self._hash = hashlib.sha256()
        # By address: the number of the object, and the object, so that no address is used twice.
        self._seen: dict[int, tuple[int, object]] = {}
        self.modules: set[str] = set()
        self.packages: set[str] = set()
        self.parts: list[Part] = []
        self.codes: list[types.CodeType] = []

    def digest(self) -> bytes:
        """The digest of all that was added."""
        return self._hash.digest()

    def write(self, data: bytes) -> None:
        """Let bytes be part of the digest as they are."""
        self._hash.update(data)

    def tag(self, name: str, number: int = 0) -> None:
        """Write what kind of thing follows, and how many parts it has."""
        self._hash.update(b"<%s %d>" % (name.encode("utf-8", "surrogatepass"), number))

    def add(self, value: Any) -> None:
        """Go through one more value."""
        kind = type(value)
        if kind in _ATOMS:
            self._hash.update(atom(value))
        elif not self.is_known(value):
            self._writer_of(kind)(self, value)

    def all(self, values: Iterable[object]) -> None:
        """Go through several values."""
        for value in values:
            self.add(value)

    def is_known(self, value: object) -> bool:
        """Whether the object was met before, which is then noted; from now on it was."""
        known = self._seen.get(id(value))
        if known is not None:
            self._hash.update(b"again%d:" % known[0])
            return True
        if len(self._seen) >= _MOST_OBJECTS:
            raise CannotDigestError(f"it has more than {_MOST_OBJECTS} objects")
        # Numbers and not addresses go into the digest: the order in which objects are met is the
        # same in every process.
        self._seen[id(value)] = len(self._seen), value
        return False

    def named(self, module: str, name: str) -> None:
        """Write a name that is imported where the call runs."""
        self.tag("name")
        self.all((module, name))
        if first_party.travels(module):
            self.modules.add(module)
        else:
            self.packages.add(module.partition(".")[0])

    # -- values by themselves ------------------------------------------------------------------

    def alone(self, member: object) -> bytes:
        """The digest of a member of a set, which has no order to number objects in."""
        if type(member) in _ATOMS:
            return hashlib.sha256(atom(member)).digest()
        walk = Walk(
            self._writer_of,
            self.key_of,
            notes_parts=self._notes_parts,
            takes_files=self.takes_files,
        )
        walk.add(member)
        self.modules |= walk.modules
        self.packages |= walk.packages
        self.parts += walk.parts
        self.codes += walk.codes
        return walk.digest()

    def note_variable(self, name: str, value: object) -> None:
        """Note a variable as a part of its own, for people who ask what has changed."""
        if not self._notes_parts or isinstance(value, _HAVE_PARTS):
            return
        # Without parts of its own, or each level would double the work.
        walk = Walk(self._writer_of, self.key_of, notes_parts=False)
        walk.add(value)
        self.parts.append(Part(f"variable {name}", walk.digest().hex()[:16]))

    def can_digest(self, value: object) -> bool:
        """Whether a value can be digested; tried beside, so that no half of it gets in here."""
        try:
            Walk(self._writer_of, None).add(value)
        except (CannotDigestError, RecursionError):
            return False
        return True
