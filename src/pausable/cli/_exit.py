"""Exit codes, besides click's: 0 for all is well, 2 for a refusal."""

from typing import Final

__all__ = ["FAILED", "INTERRUPTED"]

#: Something has no result.
FAILED: Final = 1
#: After Ctrl-C: 128 + SIGINT, as shells have it.
INTERRUPTED: Final = 130
