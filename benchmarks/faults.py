"""Submit and download under random faults and kills: count what arrived twice, got lost or came damaged."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

SUBMISSIONS, DOWNLOADS = 140, 60


def main() -> None:
    """Play the schedules, print the figures, leave with exit code 1 where one of them is not as promised."""
    from tests.flows.schedules import Stage, Story, secrets_in
    from tests.flows.zygote import Zygote
    from tests.served import PROXIES, SECRETS, serve

    for name in (*PROXIES, *SECRETS):
        os.environ.pop(name, None)
    began = time.perf_counter()
    stories: dict[str, list[Story]] = {"submissions": [], "downloads": []}
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as served, Zygote() as zygote:
        stage, place = Stage(served, zygote), Path(folder) / "clients"
        place.mkdir()
        for seed in range(SUBMISSIONS):
            stories["submissions"].append(stage.submit(place / f"submit{seed}", 10_000 + seed))
        for seed in range(DOWNLOADS):
            stories["downloads"].append(stage.fetch(place / f"fetch{seed}", 20_000 + seed))
        accepted, secrets = len(served.taken()), secrets_in(place, served.key)
    wrong = [fault for told in stories.values() for story in told for fault in story.wrong]
    for kind, told in stories.items():
        commands, kills = sum(len(story.runs) for story in told), sum(story.kills for story in told)
        faults = sum(story.faults for story in told)
        print(f"{kind}: {len(told)} schedules, {commands} commands, {kills} killed, {faults} faults planned")
    states = Counter(state for story in stories["submissions"] for state in story.runs)
    print(
        "what `kagkit submit` said: " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    )
    print(f"accepted submissions: {accepted} of {SUBMISSIONS} files")
    print(f"submitted twice, lost, told wrongly, or damaged: {len(wrong)} {wrong or ''}".rstrip())
    print(f"files with a secret in them: {len(secrets)}")
    print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(0 if not wrong and not secrets and accepted == SUBMISSIONS else 1)


if __name__ == "__main__":
    main()
