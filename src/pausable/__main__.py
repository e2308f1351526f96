"""`python -m pausable`, and the console script `pausable`."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

__all__ = ["main"]

#: What the extra `cli` installs: modules, and the packages that they are in.
_EXTRA = {"click": "click", "cryptography": "cryptography", "rich": "rich", "jwt": "PyJWT"}

#: Exit code after Ctrl-C: 128 + SIGINT, as shells have it.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from pausable.cli._main import run  # noqa: PLC0415  # click may be missing

        code = run(sys.argv[1:])
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(
            f"pausable: the command line needs {_EXTRA[missing]}: pip install 'pausable[cli]'",
            file=sys.stderr,
        )
        code = 2
    sys.exit(code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # SystemExit: click answers KeyboardInterrupt with an empty line, an import with a traceback.
    print("pausable: interrupted", file=sys.stderr)
    sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
