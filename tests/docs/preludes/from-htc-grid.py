"""The handler that the page speaks of."""

import pathlib

pathlib.Path("app").mkdir(exist_ok=True)
pathlib.Path("app/engine.py").write_text(
    "def lambda_handler(event, context):\n"
    "    return {'results': [2 * trade for trade in event['portfolio']]}\n"
)
parts = [[1, 2], [3]]
