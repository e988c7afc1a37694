"""From ids to text, one id at a time."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class StreamDecoder:
    """Decodes ids as they come and holds back the bytes of a character that is not complete.

    A character outside ASCII has two to four bytes, which may lie in several tokens; shown one by
    one, each would be a replacement character. All that `push` and `finish` return, joined, is what
    `Tokenizer.decode` gives for all ids at once.

    Parameters
    ----------
    token_bytes : function from an id to its bytes.
    errors : what to do with bytes that are not UTF-8, as in `bytes.decode`.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], errors: str = "replace"):
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors)

    def push(self, *ids: int) -> str:
        """Text that the ids complete; may be empty. ValueError for an unknown id."""
        return self._decoder.decode(b"".join(map(self._token_bytes, ids)))

    def finish(self) -> str:
        """What is left when no more ids come; then ready for a new text."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
