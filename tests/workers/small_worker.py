"""A foreign worker for the tests: does what the one word in its payload says."""

import os
import time
from pathlib import Path

from armonik.common import Output, TaskDefinition
from armonik.worker import TaskHandler, armonik_worker


def _double(task: TaskHandler) -> None:
    value = int(task.payload.split()[1])
    task.send_results({task.expected_results[0]: str(2 * value).encode()})


def _delegate(task: TaskHandler) -> None:
    created = task.create_results({"payload": b"double 21"})
    definition = TaskDefinition(
        payload_id=created["payload"].result_id, expected_output_ids=task.expected_results
    )
    task.submit_tasks([definition])


def _overwrite_input(task: TaskHandler) -> None:
    """Write where an input lies: must not reach the object storage."""
    for result_id in task.data_dependencies:
        (Path(task.data_folder) / result_id).write_bytes(b"overwritten")
    task.send_results({task.expected_results[0]: b"done"})


def _fetch(task: TaskHandler) -> None:
    data = task.get_resource_data(task.payload.split()[1].decode())
    task.send_results({task.expected_results[0]: data})


def _raise(task: TaskHandler) -> None:
    raise ValueError(f"on purpose, in {task.task_id}")


def _crash_once(task: TaskHandler) -> None:
    if "###" not in task.task_id:
        os._exit(7)
    task.send_results({task.expected_results[0]: b"second attempt"})


def _pid(task: TaskHandler) -> None:
    task.send_results({task.expected_results[0]: str(os.getpid()).encode()})


def _hang(task: TaskHandler) -> None:
    """Say who runs, then never end: such a worker does not notice that its call is stopped."""
    Path(task.payload.split()[1].decode()).write_text(str(os.getpid()))
    time.sleep(3600)


OPERATIONS = {
    b"double": _double,
    b"delegate": _delegate,
    b"overwrite_input": _overwrite_input,
    b"fetch": _fetch,
    b"raise": _raise,
    b"crash_once": _crash_once,
    b"pid": _pid,
    b"hang": _hang,
}


@armonik_worker()
def processor(task: TaskHandler) -> Output:
    name = task.payload.split()[0]
    if name == b"fail":
        return Output(error="refused")
    OPERATIONS[name](task)
    return Output()


if __name__ == "__main__":
    processor.run()
