"""Draw the leaderboard as one page that a phone can show: no script, nothing fetched, everything escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from kagkit.host.board import Place, Shake, private_board, public_board, shaken
from kagkit.host.hosted import Hosted

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5d6878; --line: #dfe4ea; --paper: #fff;
  --band: #f5f7f9; --up: #12734a; --down: #b3261e; --mark: #1667a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --quiet: #9aa6b5; --line: #303946;
  --paper: #12161c; --band: #1a2029; --up: #58c88f; --down: #f2897f; --mark: #7ab8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem 1rem 3rem; max-width: 46rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .25rem; font-size: 1.1rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .875rem; }
.state { color: var(--mark); font-weight: 600; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; margin-top: .5rem; }
th { text-align: left; font-size: .8125rem; font-weight: 600; color: var(--quiet); }
th, td { padding: .5rem .25rem; border-bottom: 1px solid var(--line); vertical-align: baseline; }
tbody tr:nth-child(even) { background: var(--band); }
.rank { width: 2.3rem; } .score { width: 5rem; } .moved { width: 3.8rem; } .entries { width: 4rem; }
.number { text-align: right; overflow-wrap: anywhere; }
.number, .numeral { font-variant-numeric: tabular-nums; }
.team { overflow-wrap: anywhere; }
.up { color: var(--up); } .down { color: var(--down); }
.when { display: block; }
"""


def draw_board(host: Hosted) -> str:
    """The page: public board until the end; after it the private one, with how far each team moved."""
    terms, events, items = host.terms, host.register.events, host.register.submissions
    greater = terms.metric.greater_is_better
    public = public_board(items, events.stage, greater=greater)
    if events.closed:
        private = shaken(public, private_board(items, events.stage, greater=greater))
        boards = [_private_table(private), _public_table("Public leaderboard", public)]
    else:
        boards = [_public_table("Public leaderboard", public)]
    metric = terms.metric.score.rpartition(":")[2]
    better = "greater is better" if greater else "lower is better"
    title = escape(terms.title)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{title}</h1>",
            f'<p class="state">{escape(_state(host))}</p>',
            f"<p>{escape(terms.description)}</p>" if terms.description else "",
            f'<p class="quiet">{escape(metric)}, {better}</p>',
            *boards,
            f'<p class="quiet">{escape(_counted(host))}</p>\n</body>\n</html>\n',
        ]
    )


def _state(host: Hosted) -> str:
    """Where the competition stands, in a line."""
    events, stages = host.register.events, host.terms.stages
    if events.closed:
        return "Closed: the private scores count"
    name = f"Stage {events.stage} of {len(stages)}" if len(stages) > 1 else "Open"
    ends = stages[events.stage].ends
    if ends is None:
        return name
    over = host.register.clock() > ends
    return f"{name}, {'ended' if over else 'ends'} {_shown(ends)} UTC"


def _counted(host: Hosted) -> str:
    items = host.register.submissions
    late, pending = sum(item.late for item in items), len(host.register.pending)
    told = f"{len(items):,} submissions"
    told += f", {late:,} of them late" if late else ""
    told += f", {pending:,} being scored" if pending else ""
    return f"{told}. Late ones are scored and not ranked. Times are in UTC."


def _public_table(title: str, places: list[Place]) -> str:
    head = (
        '<th class="rank">#</th><th>Team</th><th class="score number">Score</th>'
        '<th class="entries number">Entries</th>'
    )
    rows = [
        _row(place, f'<td class="number">{place.score}</td><td class="number">{place.entries}</td>')
        for place in places
    ]
    return _table(title, head, rows)


def _private_table(shakes: list[Shake]) -> str:
    head = (
        '<th class="rank">#</th><th>Team</th><th class="score number">Score</th>'
        '<th class="moved number">Moved</th>'
    )
    rows = [
        _row(shake.private, f'<td class="number">{shake.private.score}</td>{_moved(shake.moved)}')
        for shake in shakes
    ]
    return _table("Private leaderboard", head, rows)


def _row(place: Place, cells: str) -> str:
    when = f'<span class="quiet when">{_shown(place.time)}</span>'
    team = f'<td class="team"><bdi>{escape(place.team)}</bdi>{when}</td>'
    return f'<tr><td class="numeral">{place.rank}</td>{team}{cells}</tr>'


def _moved(ranks: int) -> str:
    if not ranks:
        return '<td class="number quiet">=</td>'
    kind, arrow = ("up", "▲") if ranks > 0 else ("down", "▼")
    return f'<td class="number {kind}">{arrow} {abs(ranks)}</td>'


def _table(title: str, head: str, rows: list[str]) -> str:
    if not rows:
        return f'<h2>{title}</h2>\n<p class="quiet">No submission has been scored yet.</p>'
    body = "\n".join(rows)
    return f"<h2>{title}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
