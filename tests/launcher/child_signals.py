"""The signals of a child process, whatever the shell made of the tests' own.

A shell that starts a job in the background lets it ignore Ctrl-C, and `nohup` lets it ignore the terminal's end. Both
are inherited by everything the tests start, and neither is what a person's terminal gives to a command.
"""

import signal
from collections.abc import Callable

_OF_A_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def signals_of_a_terminal(then: Callable[[], object] | None = None) -> Callable[[], None]:
    """What a child runs before its program (`preexec_fn`): signals work as at a terminal, then `then` is called."""

    def prepare() -> None:
        for number in _OF_A_TERMINAL:
            signal.signal(number, signal.SIG_DFL)
        if then is not None:
            then()

    return prepare
