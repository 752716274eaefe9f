"""An incident's post-mortem as Markdown: what is stored, ready to be finished by people.

Names, messages and notes are text, never markup: whatever Markdown could read in them is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from nodes.engine.headline import span
from nodes.screens.decisions import DecisionRecord
from nodes.screens.incident import IncidentView
from nodes.screens.incident_lines import Group

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&$^])")
_LINK = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)|(@)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
QUESTIONS = ("What went well?", "What went badly?", "Where were we lucky?", "What do we change, who does it, until when?")


def as_text(words: object) -> str:
    """Words as Markdown that shows just these words, on one line."""
    plain = _CONTROL.sub(" ", str(words))
    return _LINK.sub(lambda found: f"\\{found[0]}", _MARKUP.sub(r"\\\1", plain))


def markdown(view: IncidentView) -> str:
    """The whole file."""
    return "\n".join(
        [*_head(view), *_stops(view), *_decisions(view), *_timeline(view), *_messages(view), *_similar(view), *_questions()]
    )


def _at(instant: datetime | None) -> str:
    return "not reached" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _head(view: IncidentView) -> Iterator[str]:
    row, harm = view.story.row, view.harm
    yield f"# Post-mortem of incident {row.id}: {as_text(row.summary)}"
    yield ""
    lasted = "still open" if row.lasted is None else f"lasted {span(row.lasted)}"
    yield f"**{as_text(view.head.truth)}** {as_text(view.head.traffic)}"
    yield ""
    yield f"- Pool: {as_text(row.pool)}"
    yield f"- Severity: {as_text(row.severity)}"
    yield f"- From {_at(row.opened_at)} to {_at(row.closed_at)}, {lasted}"
    yield f"- Users hit: {harm.words}, at most {harm.impact.share / 100:g} % of the traffic"
    yield "- Counted from the first bad check of each node that held a share until that share had moved"
    yield f"- Failed checks: {harm.checks_failed} of {harm.checks} of the nodes that failed"
    by = f"{as_text(row.acknowledged_by)}, {_at(row.acknowledged_at)}" if row.acknowledged_at else "nobody"
    yield f"- Acknowledged by: {by}{f': {as_text(row.acknowledgement)}' if row.acknowledgement else ''}"
    yield from (f"- Note, {_at(note.at)}: {as_text(note.message)}" for note in view.acknowledgement.notes)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(headings)
    yield ""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _stops(view: IncidentView) -> Iterator[str]:
    yield from ("", "## From check to recovery")
    rows = (
        (stop.word, _at(stop.at), "" if stop.gap is None else f"{stop.gap:.1f} s to the next", as_text(stop.fact))
        for stop in view.stops
    )
    yield from _table(("stop", "when", "then", "what"), rows)


def _decisions(view: IncidentView) -> Iterator[str]:
    yield from ("", f"## Decisions, {len(view.decisions.shown)} of {view.decisions.total}")
    for decision in view.decisions.shown:
        yield from _decision(decision)


def _decision(decision: DecisionRecord) -> Iterator[str]:
    yield from ("", f"### {as_text(decision.title)}, {_at(decision.at)}", "")
    yield f"Observed: {as_text(decision.observed)}. Initiated by {as_text(decision.initiator)}, epoch {decision.epoch or 'none'}."
    rows = (
        (as_text(each.name), as_text(each.rule), f"{each.before / 100:g} %", f"{each.after / 100:g} %")
        for each in decision.considered
    )
    yield from _table(("node", "rule", "before", "after"), rows)
    yield ""
    yield from (f"- Guard {as_text(guard.guard)} {guard.word}: {as_text(guard.reason)}" for guard in decision.guards)


def _timeline(view: IncidentView) -> Iterator[str]:
    yield from ("", "## Everything, newest first", "")
    yield from (f"- {_line(group)}" for group in view.everything.groups)
    left = view.everything.total - view.everything.read
    if left > 0:
        yield f"- and {left} older events"


def _line(group: Group) -> str:
    repeats = f", × {group.times}" if group.times > 1 else ""
    others = f" and {group.others} more" if group.others else ""
    first = group.first
    return f"{_at(first.at)}, {first.plus_words}, {as_text(first.kind)}: {as_text(first.text)}{others}{repeats}"


def _messages(view: IncidentView) -> Iterator[str]:
    yield from ("", "## Messages", "")
    if not view.notices:
        yield "Nobody was notified."
    for notice in view.notices:
        yield f"- {_at(notice.at)}: {as_text(notice.destination)}, {as_text(notice.what)}, {as_text(notice.words)}"


def _similar(view: IncidentView) -> Iterator[str]:
    yield from ("", "## Similar before", "")
    if not view.similar:
        yield "None of this pool, of the same node or cause."
    for each in view.similar:
        yield f"- Incident {each.id}, {_at(each.opened_at)}: {as_text(each.summary)}; {as_text(each.ended)} ({each.alike})"


def _questions() -> Iterator[str]:
    for question in QUESTIONS:
        yield from ("", f"## {question}", "", "…")
    yield ""
