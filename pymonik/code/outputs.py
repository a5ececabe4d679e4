"""`Outputs`: a value that is several, each of which can be asked for and passed on alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pymonik.errors import UsageError


class Outputs(Mapping[str, Any]):
    """What a task returns that gives several values: ``return Outputs(mean=a, full=b)``.

    The handle of the call has one handle for each: ``handle["mean"]`` is fetched, or arrives in
    another task, without the others. Here it is a mapping; ``given.mean`` is ``given["mean"]``.
    """

    __slots__ = ("_values",)

    def __init__(self, /, **values: Any) -> None:
        if not values:
            raise UsageError("Outputs() needs values by name: Outputs(mean=a, full=b)")
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        # `copy` and `pickle` look for methods before there are values.
        values = {} if name.startswith("__") or name == "_values" else self._values
        try:
            return values[name]
        except KeyError:
            raise AttributeError(f"there is no output {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return _outputs, (self._values,)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={value!r}' for name, value in self.items())})"


def _outputs(values: dict[str, Any]) -> Outputs:
    return Outputs(**values)
