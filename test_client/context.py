"""The context: log lines and facts about the running task; variables of its environment.

python test_client/context.py [--endpoint host:5001]
"""

import argparse
import os

from pymonik import Pymonik, PymonikContext, task


@task(require_context=True)
def greet(ctx: PymonikContext, name: str) -> str:
    ctx.logger.info("greeting", name=name)  # keywords are shown beside the message
    return f"{os.environ['GREETING']} {name}, from task {ctx.task_id}"


def main(endpoint: str | None) -> None:
    environment = {"env_variables": {"GREETING": "Bonjour"}}
    with Pymonik(endpoint=endpoint, environment=environment):
        handle = greet.invoke("Ada")  # the context is not an argument of the caller
        text = handle.wait().get()
    print(text)
    assert text.startswith("Bonjour Ada, from task ")
    assert "GREETING" not in os.environ


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The context of a task.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
