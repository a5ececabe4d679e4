"""Files whose modules an executor may have imported: another content needs another executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.content.unpacked import top_of

if TYPE_CHECKING:
    from pymonik.content.unpacked import UnpackedBundle


class Holdings:
    """The bundles that one executor has entered."""

    def __init__(self) -> None:
        self._digests: set[str] = set()
        # By path in the bundle: which content lies there, as `UnpackedBundle.places` has it.
        self._places: dict[str, tuple[str, str]] = {}

    def has(self, bundle: UnpackedBundle) -> bool:
        """Whether the executor has entered it."""
        return bundle.digest in self._digests

    def accept(self, bundle: UnpackedBundle) -> bool:
        """Whether the executor may enter it: of what is there already, everything is the same.

        A package that lost a file is not the same either, since the executor might still import it.
        """
        return self.has(bundle) or all(
            bundle.places.get(path) == place
            for path, place in self._places.items()
            if top_of(path) in bundle.tops
        )

    def add(self, bundle: UnpackedBundle) -> None:
        """The executor enters it."""
        self._digests.add(bundle.digest)
        self._places.update(bundle.places)
