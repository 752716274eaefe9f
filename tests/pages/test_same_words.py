"""Pages, fragments and the glossary use the same words."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from nodes import operations, screens
from nodes.engine.enums import AdminState, ChangeKind, Guard, Health, State, Verdict
from nodes.engine.service import PoolStatus, Service
from nodes.models import Failover, Incident, Node, Pool
from nodes.reports import RULES

ROOT = Path(__file__).resolve().parents[2]
_TOKEN = re.compile(r'<input type="hidden" name="csrfmiddlewaretoken"[^>]*>')  # the socket's forms send it as a header
_COUNTED = re.compile(r">[^<>]*<")  # texts count seconds; the marks around them must be the same
_CHART = re.compile(r'<svg class="chart.*?</svg>(?=</div>|<p class="legend)', re.DOTALL)  # ends now

# Words that pages used once, and what each became: docs/glossary.md has the words of today.
OLD_WORDS = re.compile(
    r"\bwell\b|\bunwell\b|pools? failing|\bable\b|\bowed\b|\bacts?\b(?!ion)|it said|what is asked|\bseen\b|decided by|the engine\b"
    r"|let it pass|held it back|would hold|held by|own rhythm|set aside|unwatched|counted time|moved out"
    r"|\btold\b|\btells?\b|is at it",
    re.IGNORECASE,
)
_VERBS = re.compile(r"operators?( also)? acts?|can( still)? act|/act/")  # to act is a word that everybody knows
_CODE = re.compile(r"{%.*?%}|{{.*?}}|<[^>]*>")
_READ_IN_TAGS = re.compile(r'(?:aria-label|title|placeholder)="([^"]*)"')


def _old_words(html: str) -> list[str]:
    """The old words among what a person reads."""
    read = " ".join([*_CODE.sub(" ", html).split(), *_READ_IN_TAGS.findall(html)])
    return OLD_WORDS.findall(_VERBS.sub("", read))


def _marks(html: str) -> str:
    return _COUNTED.sub("><", _CHART.sub("", _TOKEN.sub("", html)))


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_each_fragment_stands_in_its_page_as_the_hub_renders_it(
    role: str, request: pytest.FixtureRequest, api: Pool, failed: Node, now: datetime
) -> None:
    client: Client = request.getfixturevalue(role)
    incident, different = Incident.objects.get(), []
    for address, screen in (
        (reverse("nodes:dashboard"), screens.dashboard(now)),
        (api.get_absolute_url(), screens.pool(api.slug, now)),
        (failed.get_absolute_url(), screens.node(failed.pk, now)),
        (incident.get_absolute_url(), screens.incident(incident.pk, now)),
    ):
        assert screen is not None
        page = _marks(client.get(address).content.decode())
        different += [
            f"{address} {fragment.id}"
            for fragment in screens.outermost(screen.fragments)
            if _marks(fragment.render(operator=role == "operator")).strip() not in page
        ]
    assert different == []


@pytest.mark.parametrize("template", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.stem)
def test_no_template_has_a_word_of_old(template: Path) -> None:
    assert _old_words(template.read_text()) == []


def test_no_page_shows_a_word_of_old(client: Client, api: Pool, failed: Node, healthy: Node) -> None:
    """As a superuser sees them, with a failover, a drained node and a pause."""
    client.force_login(User.objects.create_superuser("root"))
    operations.set_admin_state(healthy.pk, AdminState.DRAINING, actor="root", reason="new kernel")
    operations.pause(api.pk, actor="root", reason="change freeze", until=None)
    admin = [
        *(
            reverse(f"admin:nodes_{name}_changelist")
            for name in ("node", "pool", "failoverpolicy", "event", "incident", "failover")
        ),
        *(reverse(f"admin:nodes_{each._meta.model_name}_change", args=[each.pk]) for each in (failed, api, api.failover_policy)),
    ]
    pages = [reverse(f"nodes:{name}") for name in ("dashboard", "events", "incidents", "reports")]
    rows = [api, failed, healthy, Incident.objects.get(), *Failover.objects.all()]
    found = {}
    for address in (*pages, *admin, *(row.get_absolute_url() for row in rows)):
        response = client.get(address)
        assert response.status_code == 200, address
        found[address] = _old_words(response.content.decode())
    assert {address: words for address, words in found.items() if words} == {}


def test_the_glossary_has_every_state_guard_and_figure_that_pages_name() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text().lower()
    words = {
        *PoolStatus,
        *(each.words for each in Service),
        *Health,
        *AdminState,
        *State,
        *ChangeKind,
        *Verdict,
        *(guard.words for guard in Guard),
    }
    figures = {title.lower() for key in ("counted", "set_aside", "unwatched", "moved_out") for title in _titles(key)}
    means = {mean for rule in RULES for mean in re.findall(r"\((mt\w\w)\)", rule.title.lower())}
    assert means == {"mttd", "mttr", "mtbf"}
    assert {word for word in {*words, *figures, *means} if word not in glossary} == set()


def _titles(key: str) -> list[str]:
    return [rule.title for rule in RULES if rule.key == key]
