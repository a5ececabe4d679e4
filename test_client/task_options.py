"""Options of tasks: for all of a client, for a function, for one call.

python test_client/task_options.py [--endpoint host:5001]
"""

import argparse
from datetime import timedelta

from pymonik import Pymonik, PymonikContext, TaskOptions, task


@task(require_context=True, max_retries=1, max_duration=60)
def shown(ctx: PymonikContext) -> tuple[int, int, dict[str, str]]:
    options = ctx.options
    return options.priority, options.max_retries, dict(options.options)


def main(endpoint: str | None) -> None:
    common = TaskOptions(max_duration=timedelta(minutes=5), priority=1, options={"team": "blue"})
    with Pymonik(endpoint=endpoint, task_options=common):
        handle = shown.invoke(pmk_priority=3, pmk_options={"run": "1"})
        priority, retries, labels = handle.wait().get()
    print(f"priority {priority}, {retries} retries, team {labels['team']}, run {labels['run']}")
    assert (priority, retries) == (3, 1)
    assert (labels["team"], labels["run"]) == ("blue", "1")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Options of tasks.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
