"""Starting a program as a terminal does, whatever started the tests."""

from __future__ import annotations

import signal


def heed_ctrl_c() -> None:
    """For ``preexec_fn``: a shell's background jobs ignore SIGINT, and hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
