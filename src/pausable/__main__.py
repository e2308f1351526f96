"""`python -m pausable`, and the console script `pausable`."""

from __future__ import annotations

import sys

__all__ = ["main"]

#: What the extra `cli` installs.
_EXTRA = ("click", "cryptography", "rich")


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from pausable.cli._main import run  # noqa: PLC0415  # click may be missing

        code = run(sys.argv[1:])
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(
            f"pausable: the command line needs {missing}: pip install 'pausable[cli]'",
            file=sys.stderr,
        )
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
