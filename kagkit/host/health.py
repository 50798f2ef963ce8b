"""Say which credential would go to Kaggle and what is wrong with it, as findings that never tell it."""

from __future__ import annotations

from collections.abc import Iterator

from kagkit.foundation.findings import Finding
from kagkit.host.credentials import ACCEPTED
from kagkit.host.door import credential_facts


def credential_findings(*, ask: bool = False) -> Iterator[Finding]:
    """Which credential would be sent, which others are there, and each problem with its remedy.

    Args:
        ask: Ask the host, too, whether it accepts the credential.
    """
    facts = credential_facts(ask=ask)
    if facts.source is not None:
        others = f"; not sent: {', '.join(facts.unused)}" if facts.unused else ""
        kind = "a token" if facts.token else "a name with its key"
        asked = f", {facts.answer}" if facts.answer else ""
        good = facts.answer in ("", ACCEPTED)
        yield Finding(
            "host", "credentials", "ok" if good else "warn", f"{kind} from {facts.source}{asked}{others}"
        )
    for problem in facts.problems:
        where = "" if problem.where == "credentials" else f"{problem.where}: "
        yield Finding("host", "credentials", "warn", f"{where}{problem.found}", problem.hint)
