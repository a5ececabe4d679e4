"""Functions by value: code, what it takes from around it, and the names of its home.

Names around a function travel in one of three ways:

* its module is imported elsewhere: the function is put into that module;
* its module is ``__main__``: the function is put into the program's ``__main__``, and what the
  code names there are *needs* of the pickle (see `pymonik.code.gathering`);
* it has no module that can be found (``exec``, a module made by hand): the names travel along.
"""

from __future__ import annotations

import dis
import functools
import importlib
import inspect
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import compiled, main_module, places, sources
from pymonik.code.references import Named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pymonik.code.reduction import Reduction
    from pymonik.code.sources import Source

# Instructions that read or write a global name.
_GLOBAL_NAMES: Final = frozenset(
    {
        *("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"),
        *("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"),  # in the bodies of classes
    }
)
_WORD: Final = r"[^\W\d]\w*"  # compiled when code is first packed: executors pack little
_SINGLE_DISPATCH: Final = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]
# By address, with the code itself, so that no other code gets the address.
_names_of_code: dict[int, tuple[types.CodeType, tuple[str, ...]]] = {}
_MOST_CODES: Final = 4096  # whose names are remembered


class Namespace:
    """Stands in a pickle for names that belong to no module which could be imported."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names


# -- pickling ------------------------------------------------------------------------------------


def reduce_function(pickler: Reduction, function: types.FunctionType) -> Any:
    """What `pickle` takes for a function."""
    if places.is_by_name(function):
        return NotImplemented
    if not pickler.is_root(function):
        if (place := pickler.place_in_main(function, function.__globals__)) is not None:
            return place
        if (task := _task_around(function)) is not None:
            return _function_of, (task,)
    if function.__code__ is _SINGLE_DISPATCH:
        return _reduce_single_dispatch(function)
    return _reduce_by_value(pickler, function)


def _task_around(function: types.FunctionType) -> Any:
    """The task by which a module has replaced the function."""
    module = function.__module__
    if not places.travels_by_name(module):
        return None
    task = places.found(module, function.__qualname__)
    return task if isinstance(task, Named) and task.wrapped() is function else None


def _function_of(task: Any) -> Any:
    return task.wrapped()


def _reduce_by_value(pickler: Reduction, function: types.FunctionType) -> Any:
    code, names = function.__code__, function.__globals__
    home = places.home_of(names)
    captured: dict[str, Any] = {}
    if home is None:
        used = [name for name in names_of(code) if name in names]
        values = [names[name] for name in used]
        module: object
        if (main_id := main_module.main_id_of(names)) is None:
            captured = dict(zip(used, values, strict=True))
            captured.update((name, names[name]) for name in _FOR_IMPORTS if name in names)
            module = pickler.namespace(names)
        else:
            module = main_module.module_of(main_id)
            pickler.need_names(names, used)
            _need_by_text(pickler, code, names)
            if names.get("__package__"):  # under `python -m`: relative imports start there
                pickler.need_names(names, ("__package__",))
            pickler.need_names(names, _in_annotations(function.__annotations__), optional=True)
    else:
        module, values = home, []
        captured = _of_tools(code, names)
    cells, filled = _cells(pickler, function.__closure__ or ())
    values += [content for _, content in filled]
    submodules = list(_submodules(code, values))
    for submodule in submodules:
        pickler.note_module(submodule)
    state = (
        *(vars(function), function.__name__, function.__qualname__, function.__module__),
        *(function.__doc__, function.__defaults__, function.__kwdefaults__),
        *(function.__annotations__, getattr(function, "__type_params__", ())),
        *(filled, captured, submodules),
    )
    arguments = (code, module, cells, sources.source_of(code))
    return make_function, arguments, state, None, None, set_function_state


def _of_tools(code: types.CodeType, names: dict[str, Any]) -> dict[str, Any]:
    """Modules under names that nobody can write, as pytest puts them into the modules of tests.

    Its asserts use them to say what failed. The module that a worker imports has none of them.
    """
    used = [name for name in names_of(code) if name.startswith("@") and name in names]
    return {name: _IfThere(names[name].__name__) for name in used if inspect.ismodule(names[name])}


class _IfThere:
    """Stands for a module in a pickle; where that is not installed, nothing takes its place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[object, ...]:
        return imported_if_there, (self._name,)


def _need_by_text(pickler: Reduction, code: types.CodeType, names: dict[str, Any]) -> None:
    from pymonik.code import by_text  # executors pickle few functions

    if by_text.is_used_by(code, names):
        pickler.need_names(names, by_text.names_for(names), optional=True)
        pickler.need_names(names, by_text.named_in(code), optional=True, any_size=True)


# Globals that relative imports look at.
_FOR_IMPORTS = ("__name__", "__package__", "__path__", "__file__")


def _cells(
    pickler: Reduction, closure: Iterable[types.CellType]
) -> tuple[tuple[types.CellType, ...], list[tuple[types.CellType, object]]]:
    """The cells, and the contents of those that the pickle has not had yet.

    Functions that share a variable share its cell; the contents come with the first of them, once
    it is made, since they often refer to the function itself.
    """
    filled: list[tuple[types.CellType, object]] = []
    cells = tuple(closure)
    for cell in cells:
        if pickler.has_cell(cell):
            continue
        try:
            filled.append((cell, cell.cell_contents))
        except ValueError:
            continue
    return cells, filled


def names_of(code: types.CodeType) -> tuple[str, ...]:
    """Global names that ``code`` and the code in it may read or write."""
    known = _names_of_code.get(id(code))
    if known is not None:
        return known[1]
    names = dict.fromkeys(
        one.argval for one in dis.get_instructions(code) if one.opname in _GLOBAL_NAMES
    )
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(names_of(constant)))
    if len(_names_of_code) >= _MOST_CODES:
        _names_of_code.clear()
    _names_of_code[id(code)] = code, tuple(names)
    return tuple(names)


def need_annotations(pickler: Reduction, cls: type) -> None:
    """Names that only annotations have are needed too, by `typing.get_type_hints`."""
    if cls.__module__ not in main_module.MAIN_NAMES:
        return
    current = main_module.current_names()
    words = names_in_annotations(vars(cls).get("__annotations__"))
    if current is not None and words:
        pickler.need_names(current[1], words, optional=True)


def names_in_annotations(annotations: object) -> list[str]:
    """Words in the texts of annotations, which `typing.get_type_hints` looks up."""
    return _in_annotations(annotations if isinstance(annotations, dict) else {})


def _in_annotations(annotations: dict[str, Any]) -> list[str]:
    words: dict[str, None] = {}
    for annotation in annotations.values():
        for text in _texts_in(annotation):
            words.update(dict.fromkeys(re.findall(_WORD, text)))
    return list(words)


def _texts_in(annotation: Any, depth: int = 8) -> Iterator[str]:
    if isinstance(annotation, str):
        yield annotation
    elif isinstance(annotation, typing.ForwardRef):
        yield annotation.__forward_arg__
    elif depth and not isinstance(annotation, type):
        for part in typing.get_args(annotation):
            yield from _texts_in(part, depth - 1)


def _submodules(code: types.CodeType, values: Iterable[Any]) -> Iterator[str]:
    """Modules that the code reaches as attributes of a package: importing that may not do."""
    for value in values:
        is_module = issubclass(type(value), types.ModuleType)
        if is_module and places.travels_by_name(value.__name__):
            yield from _submodules_of(value.__name__, set(_attributes_in(code)))


def _submodules_of(package: str, names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        if (module := f"{package}.{name}") in sys.modules:
            yield module
            yield from _submodules_of(module, names)


def _attributes_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _attributes_in(constant)


def reduce_cell(pickler: Reduction, cell: types.CellType) -> Any:
    """What `pickle` takes for a variable of a closure."""
    if pickler.has_cell(cell):
        return types.CellType, ()
    try:
        return types.CellType, (), cell.cell_contents, None, None, set_cell
    except ValueError:
        return types.CellType, ()


def _reduce_single_dispatch(function: Any) -> Any:
    """A function of `functools.singledispatch`: its caches refer weakly to classes."""
    registry = dict(function.registry)
    plain = registry.pop(object)
    state = (vars(function), function.__qualname__, registry)
    return functools.singledispatch, (plain,), state, None, None, set_dispatch_state


def reduce_module(pickler: Reduction, module: types.ModuleType) -> Any:
    """What `pickle` takes for a module."""
    if places.travels_by_name(module.__name__) and sys.modules.get(module.__name__) is module:
        return imported, (module.__name__,)
    names = vars(module)
    if (main_id := main_module.main_id_of(names)) is not None:
        return main_module.module_of, (main_id,)
    state = {name: value for name, value in names.items() if name not in _NOT_OF_MODULES}
    return as_it_is, (pickler.namespace(names),), state, None, None, set_module_state


# Of this process.
_NOT_OF_MODULES = frozenset({"__builtins__", "__loader__", "__spec__", "__cached__"})


def reduce_namespace(pickler: Reduction, namespace: Namespace) -> Any:
    """What `pickle` takes for the names of a module that cannot be imported."""
    del pickler
    return make_module, (str(namespace.names.get("__name__")),)


# -- unpickling: these stand in pickles by their names -------------------------------------------


def make_function(
    code: types.CodeType,
    module: types.ModuleType,
    cells: tuple[types.CellType, ...],
    source: Source | None,
) -> types.FunctionType:
    """A function without its state."""
    if source is not None:
        sources.show(source)
    return types.FunctionType(code, vars(module), None, None, cells or None)


def set_function_state(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function what it had around it."""
    attributes, name, qualname, module, doc, defaults, keywords, annotations, parameters = state[:9]
    filled, captured, submodules = state[9:]
    for submodule in submodules:
        imported(submodule)
    function.__dict__.update(attributes)
    function.__name__, function.__qualname__, function.__doc__ = name, qualname, doc
    function.__module__ = module
    function.__defaults__, function.__kwdefaults__ = defaults, keywords
    function.__annotations__ = annotations
    if parameters:
        function.__type_params__ = parameters  # type: ignore[attr-defined]
    function.__globals__.update(captured)
    for cell, content in filled:
        cell.cell_contents = content


def set_cell(cell: types.CellType, content: object) -> None:
    """Give a variable its value."""
    cell.cell_contents = content


def set_dispatch_state(function: Any, state: tuple[Any, ...]) -> None:
    """Register what was registered."""
    attributes, qualname, registry = state
    for kind, implementation in registry.items():
        function.register(kind, implementation)
    function.__qualname__ = qualname
    made = ("register", "dispatch", "registry", "_clear_cache")
    function.__dict__.update((k, v) for k, v in attributes.items() if k not in made)


def imported(name: str) -> types.ModuleType:
    """A module that is imported here."""
    return importlib.import_module(name)


def imported_if_there(name: str) -> types.ModuleType | None:
    """The module of this name, imported; ``None`` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def by_name(module: str, qualname: str) -> Any:
    """What an imported module has under a dotted name."""
    value: Any = imported(module)
    for name in qualname.split("."):
        value = getattr(value, name)
    return value


def make_module(name: str) -> types.ModuleType:
    """A module that has nothing yet."""
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = __builtins__
    return module


def as_it_is(module: types.ModuleType) -> types.ModuleType:
    """Give ``module``: what functions have around them and the module itself are one."""
    return module


def set_module_state(module: types.ModuleType, state: dict[str, Any]) -> None:
    """Give a module its names."""
    vars(module).update(state)


REDUCERS: dict[type, Callable[[Any, Any], Any]] = {
    types.FunctionType: reduce_function,
    types.CodeType: compiled.reduce_code,
    types.CellType: reduce_cell,
    types.ModuleType: reduce_module,
    Namespace: reduce_namespace,
    sources.MainFile: sources.reduce_main_file,
}
