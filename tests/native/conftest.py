"""As for the core: every test leaves its thread as it found it."""

from core.conftest import nothing_left_under_way

__all__ = ["nothing_left_under_way"]
