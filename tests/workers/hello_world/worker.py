"""A sum by subtasks: an ordinary ArmoniK worker in Python, which knows nothing of pymonik."""

import os
from typing import cast

import grpc
from armonik.common import Output, TaskDefinition
from armonik.worker import ArmoniKWorker, ClefLogger, TaskHandler
from common import Payload, Result


def processor(task_handler: TaskHandler) -> Output:
    logger = ClefLogger.getLogger("ArmoniKWorker")
    payload = Payload.deserialize(task_handler.payload)
    output_id = task_handler.expected_results[0]
    if not payload.values:
        return send(task_handler, 0.0)

    if isinstance(payload.values[0], str):
        ids = cast("list[str]", payload.values)
        parts = [Result.deserialize(task_handler.data_dependencies[one]).value for one in ids]
        logger.info("Aggregated {count} values", count=len(parts))
        return send(task_handler, sum(parts))

    values = cast("list[float]", payload.values)
    if len(values) <= max(1, payload.subtask_threshold):
        logger.info("Computed {count} values", count=len(values))
        return send(task_handler, sum(values))

    pivot = len(values) // 2
    halves = {"lower": values[:pivot], "upper": values[pivot:]}
    parts = {
        name: one.result_id
        for name, one in task_handler.create_results_metadata(list(halves)).items()
    }
    payloads = {
        name: Payload(half, payload.subtask_threshold).serialize() for name, half in halves.items()
    }
    payloads["aggregate"] = Payload(list(parts.values())).serialize()
    created = task_handler.create_results(payloads)
    tasks = [
        TaskDefinition(payload_id=created[name].result_id, expected_output_ids=[parts[name]])
        for name in halves
    ]
    tasks.append(
        TaskDefinition(
            payload_id=created["aggregate"].result_id,
            expected_output_ids=[output_id],
            data_dependencies=list(parts.values()),
        )
    )
    submitted = task_handler.submit_tasks(tasks)
    logger.info("Submitted {count} subtasks", count=len(submitted))
    return Output()


def send(task_handler: TaskHandler, value: float) -> Output:
    task_handler.send_results({task_handler.expected_results[0]: Result(value).serialize()})
    return Output()


def endpoint(channel: str, default: str) -> str:
    return "unix://" + os.getenv(f"ComputePlane__{channel}__Address", default)


def main() -> None:
    logger = ClefLogger.getLogger("ArmoniKWorker")
    agent = endpoint("AgentChannel", "/cache/armonik_agent.sock")
    options = (("grpc.default_authority", "localhost"),)
    with grpc.insecure_channel(agent, options) as channel:
        worker = ArmoniKWorker(channel, processor, logger=logger)
        logger.info("Worker Connected")
        worker.start(endpoint("WorkerChannel", "/cache/armonik_worker.sock"))


if __name__ == "__main__":
    main()
