"""What to write when a worker lacks a module that the client may have."""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Final

from pymonik.code import closure
from pymonik.code.first_party import Kind
from pymonik.errors import SerializationError, TaskFailedError

_MOST_CAUSES: Final = 10  # links of a chain of causes, which may be a circle
# The dict of an exception, past a ``__getattribute__`` or ``__setattr__`` of the user's class.
_attributes = BaseException.__dict__["__dict__"].__get__


def advised(error: BaseException) -> BaseException:
    """``error``, which a task raised, with what to do if it was for want of a module.

    The class and the text of a user's exception stay as they are: what to do is a note on it, and
    stands in the `TaskFailedError` that is its cause.
    """
    name = _missing_in(error)
    if name is None:
        return error
    text = _advice(name)
    if type(error) is SerializationError:
        error.args = (f"{error}; {text}",)
        return error
    attributes = _attributes(error)
    # What `add_note` does, which Python 3.10 does not have.
    attributes["__notes__"] = [text, *attributes.get("__notes__", ())]
    cause = error.__cause__
    if type(cause) is TaskFailedError:
        cause.message = f"{cause.message}; {text}"
        cause.args = (cause.message, *cause.args[1:])
    return error


def _missing_in(error: BaseException) -> str | None:
    """The module that was not found, if ``error`` is about that and nothing else."""
    if not issubclass(type(error), ImportError | SerializationError):
        return None
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if type(found) is ModuleNotFoundError:
            return found.name if type(found.name) is str and found.name else None
        if found is None:
            return None
        found = found.__cause__
    return None


@functools.lru_cache(maxsize=256)
def _advice(name: str) -> str:
    top = name.partition(".")[0]
    if (source := closure.find(name)) is not None and source.kind is Kind.FIRST_PARTY:
        place = source.file or ", ".join(source.folders)
        return (
            f"the worker has no module {name!r}; here it is {place}, which did not travel, since "
            f"nothing that did imports it by this name: Pymonik(include=[{name!r}]) sends it"
        )
    if top in sys.stdlib_module_names:
        return (
            f"the worker's Python has no module {name!r}, which is of the standard library of "
            f"Python {sys.version_info[0]}.{sys.version_info[1]} here"
        )
    lines = _requirements(top)
    if lines:
        shown = ", ".join(line.replace("==", " ") for line in lines)
        return (
            f"the worker has no module {name!r}; here it is installed ({shown}): "
            f"environment={{'pip': {lines!r}}} brings it"
        )
    # Last, as it searches the whole path; ``top`` is a top-level name, so nothing is imported by
    # it.
    if importlib.util.find_spec(top) is not None:
        return f"the worker has no module {name!r}; here it is there, from no package with a name"
    return (
        f"the worker has no module {name!r}, and it is not installed here either; name the package "
        "that has it, as in environment={'pip': [...]}"
    )


def _requirements(top: str) -> list[str]:
    """What gives this top-level name here, each as a requirement of its version."""
    from pymonik.environments import here  # reads what is installed: only once something is missing

    return [line for one in here.distributions_of({top}) if (line := here.line_of(one)) is not None]
