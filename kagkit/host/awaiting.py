"""Follow a submission until the host has scored it or refused it, whatever fails meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.answers import HostSubmission
from kagkit.host.asking import Host
from kagkit.host.refusals import RefusedHostError

DONE = ("COMPLETE", "ERROR")
FAILURES = 10
Progress = Callable[[HostSubmission, float], object]


def follow(host: Host, ref: int, progress: Progress = lambda found, seconds: None) -> HostSubmission:
    """Ask for a submission, ever more rarely, until it is done.

    A number that the host does not know is one that it does not know yet; failures of the host and of the
    network are passed over unless they do not end.

    Args:
        host: The host.
        ref: The submission's number.
        progress: Called with what the host says and the seconds since the beginning.

    Raises:
        HostError: The host cannot be asked any more, or is not done within the time.
    """
    patience = host.door.patience
    pause, longest = patience.poll
    began, failures = time.monotonic(), 0
    while True:
        try:
            found, failures = host.submission(ref), 0
        except HostError as error:
            unknown = isinstance(error, RefusedHostError) and error.status == 404
            failures += 1
            if failures > FAILURES or (isinstance(error, RefusedHostError) and not unknown):
                raise
            found = HostSubmission(ref, "PENDING")
        seconds = time.monotonic() - began
        progress(found, seconds)
        if found.status in DONE:
            return found
        if seconds > patience.following:
            hint = "kagkit lb sync brings the score home when it is there"
            problem = Problem(f"submission {ref}", f"still {found.status} after {seconds:.0f} s", hint=hint)
            raise HostError("the host has not scored the submission", [problem])
        time.sleep(pause)
        pause = min(2 * pause, longest)
