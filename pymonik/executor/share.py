"""`Share`: what the run of a task asks of the process around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pymonik.executor.claims import Claims
    from pymonik.executor.printed import Printed
    from pymonik.executor.reporting import Reporting
    from pymonik.wire.call import ResultRef


class Share(Protocol):
    """What is known of the calls of a chunk while it runs: which are ours, and which are not."""

    claims: Claims
    printed: Printed
    reporting: Reporting

    def is_loaded(self) -> None:
        """Tell the parent that the modules of the calls are imported: their time begins."""

    def handed_over(self) -> list[ResultRef]:
        """Where the values of the calls will stand that were taken away: the last ones."""

    def item_ended(self, place: int, seconds: float) -> None:
        """Put back what a call of several, which took so long, changed around it."""

    def call_ended(self, seconds: float) -> None:
        """The only call of a task has ended after so long: note what it has printed."""

    def ask_agent(self, task_id: str, operation: str, message: bytes) -> bytes:
        """Have ArmoniK's agent do something for the running task."""

    def end_if_asked(self) -> None:
        """End this process if the run was asked to end: what the call gave is not wanted."""

    def sends(self, *, is_sending: bool) -> None:
        """Say whether spans of the calls are leaving: the parent waits a moment for them."""

    def is_stopping(self) -> bool:
        """Whether the running call is to come to its end."""
