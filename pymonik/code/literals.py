"""What a module's file says its variables are, where it says so with plain literals.

The instructions of the module are read, not run: ``SEED = 0`` loads a constant and stores it. A
variable that is stored in any other way as well is *computed*, and so is what its functions store.
"""

from __future__ import annotations

import dis
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES: Final = dis.opname
_EXTENDED: Final = dis.EXTENDED_ARG
_STORE_ATTRIBUTE: Final = dis.opmap["STORE_ATTR"]
_STORE_GLOBAL: Final = dis.opmap["STORE_GLOBAL"]
# Names of what assigns by text, such as `mock.patch` and pytest's `monkeypatch.setattr`.
_BY_TEXT: Final = frozenset(
    {"setattr", "__setattr__", "globals", "vars", "__dict__", "exec", "patch", "setitem"}
)
_IGNORED: Final = frozenset({"CACHE", "NOP", "RESUME", "SETUP_ANNOTATIONS", "EXTENDED_ARG"})


class Literals(NamedTuple):
    """The variables of a module.

    Attributes:
        given: Literals that the file assigns to a variable, by name; of the others, nothing.
        own: Variables that functions of the module itself assign.
        attributes: Names that its code assigns as attributes, perhaps of another module.
        by_text: Whether its code assigns by names that only running it tells.
    """

    given: dict[str, list[Any]]
    own: frozenset[str]
    attributes: frozenset[str]
    by_text: bool


def literals_of(code: types.CodeType) -> Literals:
    """What the code of a module assigns."""
    given: dict[str, list[Any]] = {}
    computed: set[str] = set()
    stack: list[Any] = []
    # Offsets that some instruction jumps to: there, what stands on the stack depends on the way.
    labels = frozenset(dis.findlabels(code.co_code))  # type: ignore[arg-type]
    for offset, operation, argument in _instructions(code.co_code):
        if offset in labels:
            stack.clear()
        if operation in _IGNORED:
            continue
        if operation == "STORE_NAME":
            name = code.co_names[argument]
            if stack:
                given.setdefault(name, []).append(stack.pop())
            else:
                computed.add(name)
        elif not _evaluated(operation, argument, stack, code.co_consts):
            stack.clear()
    stores = _Stores()
    stores.read(code)
    own = frozenset(stores.variables)
    # A variable that is assigned in any other way as well is computed.
    given = {n: v for n, v in given.items() if n not in computed and n not in own}
    return Literals(given, own, frozenset(stores.attributes), stores.by_text)


def _instructions(data: bytes) -> Iterator[tuple[int, str, int]]:
    extended = 0
    for offset in range(0, len(data), 2):
        argument = data[offset + 1] | extended
        operation = _NAMES[data[offset]]
        extended = argument << 8 if operation == "EXTENDED_ARG" else 0
        yield offset, operation, argument


def _evaluated(operation: str, argument: int, stack: list[Any], constants: tuple[Any, ...]) -> bool:
    """Do to the stack what an instruction does, if it only makes a literal."""
    if operation == "LOAD_CONST":
        stack.append(constants[argument])
        return True
    if operation == "LOAD_SMALL_INT":
        stack.append(argument)
        return True
    known = _BUILDERS.get(operation)
    try:
        return known is not None and known(stack, argument)
    except (IndexError, TypeError, ValueError, AttributeError):
        return False


def _build(make: Callable[[list[Any]], Any], each: int = 1) -> Callable[[list[Any], int], bool]:
    def build(stack: list[Any], count: int) -> bool:
        size = count * each
        if len(stack) < size:
            return False
        parts = stack[len(stack) - size :]
        del stack[len(stack) - size :]
        stack.append(make(parts))
        return True

    return build


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _extend(stack: list[Any], _: int) -> bool:
    items = stack.pop()
    stack[-1].extend(items)
    return True


def _update(stack: list[Any], _: int) -> bool:
    items = stack.pop()
    stack[-1].update(items)
    return True


def _with_keys(stack: list[Any], count: int) -> bool:
    keys = stack.pop()
    values = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    stack.append(dict(zip(keys, values, strict=True)))
    return True


def _add_pair(stack: list[Any], _: int) -> bool:
    value, key = stack.pop(), stack.pop()
    stack[-1][key] = value
    return True


def _unpack(stack: list[Any], count: int) -> bool:
    parts = stack.pop()
    if not isinstance(parts, tuple) or len(parts) != count:
        return False
    stack.extend(reversed(parts))
    return True


def _again(stack: list[Any], _: int) -> bool:
    stack.append(stack[-1])
    return True


_BUILDERS: Final[dict[str, Callable[[list[Any], int], bool]]] = {
    "BUILD_LIST": _build(list),
    "BUILD_TUPLE": _build(tuple),
    "BUILD_SET": _build(set),
    "BUILD_MAP": _build(_pairs, each=2),
    "BUILD_CONST_KEY_MAP": _with_keys,
    "LIST_EXTEND": _extend,
    "SET_UPDATE": _update,
    "DICT_UPDATE": _update,
    "MAP_ADD": _add_pair,
    "UNPACK_SEQUENCE": _unpack,
    "DUP_TOP": _again,  # of Python 3.10; `COPY` after it
    "COPY": _again,
}


class _Stores:
    """What code assigns besides its own variables, that of its functions included."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.attributes: set[str] = set()
        self.by_text = False

    def read(self, code: types.CodeType) -> None:
        """Add what this code assigns."""
        names, data, extended = code.co_names, code.co_code, 0
        self.by_text = self.by_text or not _BY_TEXT.isdisjoint(names)
        for offset in range(0, len(data), 2):
            operation = data[offset]
            if operation == _STORE_ATTRIBUTE:
                self.attributes.add(names[data[offset + 1] | extended])
            elif operation == _STORE_GLOBAL:
                self.variables.add(names[data[offset + 1] | extended])
            extended = (data[offset + 1] | extended) << 8 if operation == _EXTENDED else 0
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.read(constant)
