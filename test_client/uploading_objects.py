"""Objects stored once in the cluster and used by many calls.

python test_client/uploading_objects.py [--endpoint host:5001]
"""

import argparse
from collections.abc import Sequence

from pymonik import Pymonik, task


@task
def count_word(words: Sequence[str], word: str) -> int:
    return words.count(word)


def main(endpoint: str | None) -> None:
    text = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "the", "cat"] * 10_000
    with Pymonik(endpoint=endpoint) as pymonik:
        words = pymonik.put(text, name="words")  # uploaded once, here
        cat, dog = pymonik.put_many(["cat", "dog"])
        counts = count_word.map_invoke([(words, "the"), (words, cat), (words, dog)]).wait().get()
    print(f"the: {counts[0]}, cat: {counts[1]}, dog: {counts[2]}")
    assert list(counts) == [30_000, 10_000, 10_000]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Objects used by many calls.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
