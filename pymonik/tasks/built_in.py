"""`BuiltInTask`: what tasks have in common that are no functions of Python.

Commands and handlers are run by what every worker has: heads of payloads say which, and nothing of
them is pickled, so client and worker may have any Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymonik.session.run import Run, SingleCalls
from pymonik.tasks.given import TASK_KEYWORDS
from pymonik.tasks.task import P, R, Task

if TYPE_CHECKING:
    from pymonik.options import TaskOptions

# Options of `task` that only a function of Python can have.
_OF_FUNCTIONS: Final = frozenset(
    {
        "require_context",
        "function_name",
        "retry_on",
        "outputs",
        "setup",
        "cache",
        "retry_backoff",
    }
)
KEYWORDS: Final = tuple(name for name in TASK_KEYWORDS if name not in _OF_FUNCTIONS)


class BuiltInTask(Task[P, R]):
    """A task that workers run by themselves.

    A class of it says in `parts` what it is made of, which is also what its pickle holds.
    """

    _parameter_names: tuple[str, ...] = ()  # names of arguments that views show

    def parts(self) -> tuple[Any, ...]:
        """All that the task consists of: the arguments that make an equal one."""
        raise NotImplementedError

    def __reduce_ex__(self, protocol: Any) -> Any:
        found = super().__reduce_ex__(protocol)
        return found if isinstance(found, str) else (type(self), self.parts())

    def __getstate__(self) -> tuple[object, ...]:
        return self.parts()

    def adopt(self, content_id: str) -> None:
        """Nothing to learn: it is never pickled."""

    def _new_run(self, options: TaskOptions) -> Run:
        run = super()._new_run(options)
        run.has_pickles = False
        return run

    @property
    def _single_calls(self) -> Run:
        run = SingleCalls(self, self.name, self.options.label or "", self._parameter_names)
        run.has_pickles = False
        return run
