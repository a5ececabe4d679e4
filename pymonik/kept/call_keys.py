"""Keys of the calls of sessions that outlive their programs: the same calls, made again, have them.

Unlike a key of the cache, that of a call which cannot be digested is not missing: it is one that
no other process makes, so that the call is not found, and is made.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pymonik.cache.canonical import digest_of
from pymonik.cache.keys import environment_key, keys
from pymonik.cache.walk import CannotDigestError
from pymonik.code import codec
from pymonik.code.references import Named
from pymonik.errors import SerializationError
from pymonik.wire.call import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.code.codec import Packed
    from pymonik.session.protocol import Submission
    from pymonik.session.result import ResultState
    from pymonik.wire.environment import Environment

# Bytes of arguments up to which they are unpickled and digested by content. Larger ones are known
# by their pickle: the same for arrays and texts, and another one, so that the call is made again,
# for a set.
_MOST_DIGESTED: Final = 256 * 1024


class CallKeys:
    """Makes keys of calls.

    Args:
        environment: What the session gives to all calls.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __call__(
        self, submission: Submission, key_of: Callable[[ResultState], bytes]
    ) -> list[bytes]:
        """The key of each call: code, environment, arguments; handles by the keys of their calls.

        Files that the code names are looked at once, for all calls of the submission: a look for
        each costs more than the rest of what a tiny call needs.
        """
        around = environment_key(submission.options, self._environment).encode()
        codes: dict[frozenset[str], bytes] = {}  # by the modules that the arguments bring
        made: list[bytes] = []
        for call in submission.calls:
            if (code := codes.get(call.modules)) is None:
                code = codes[call.modules] = _code(submission, call)
            digest = blake2b(code + around, digest_size=KEY_BYTES)
            digest.update(_arguments(call, [key_of(ref._state) for ref in call.refs]))
            made.append(digest.digest())
        return made


def _code(submission: Submission, call: Packed) -> bytes:
    function = submission.function
    task: object = submission.run.function if submission.run is not None else None
    if function.built_in is not None or not isinstance(task, Named):
        return function.content_id.encode()
    try:
        return keys.code(task, function, call, submission.code).digest.encode()
    except CannotDigestError:
        return function.content_id.encode()


def _arguments(call: Packed, refs: list[bytes]) -> bytes:
    """By content where that can be; pickles name classes of a script by the process."""
    files = [f"{one.ref.name}\0{one.ref.digest}".encode() for one in call.files]
    if call.nbytes <= _MOST_DIGESTED:
        try:
            value = codec.unpack(
                call.blobs, lambda slot: b"ref " + refs[slot], lambda slot: b"file " + files[slot]
            )
            return digest_of(value) + b"".join(files)
        except (CannotDigestError, SerializationError):
            pass
    digest = blake2b()
    for blob in call.blobs:
        # The size goes first, or two blobs cut at another place would give the same digest.
        digest.update(len(memoryview(blob)).to_bytes(8, "little"))
        digest.update(blob)
    for one in (*refs, *files):
        digest.update(one)
    return digest.digest()
