"""Actions on the pages, and what is refused."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes import operations
from nodes.engine.enums import AdminState, Verdict
from nodes.models import Checker, Event, FleetState, Incident, Node, NodeState, Pool, PoolState
from tests.pages import fleet
from tests.pressing import FRAGMENT, offered, press


def addresses(api: Pool, node: Node) -> list[str]:
    incident = Incident.objects.get()
    return [
        reverse("nodes:node_action", args=[node.pk]),
        reverse("nodes:pool_action", args=[api.slug]),
        reverse("nodes:automation_action"),
        reverse("nodes:believe_checker"),
        reverse("nodes:acknowledge", args=[incident.pk]),
    ]


def test_a_viewer_may_not_act(viewer: Client, api: Pool, healthy: Node) -> None:
    for address in addresses(api, healthy):
        response = viewer.post(address, {"action": "drain", "reason": "x"})
        assert response.status_code == 403, address
        assert b"operators" in response.content
    assert not NodeState.objects.exclude(admin_state="enabled").exists()


def test_a_stranger_who_acts_is_sent_to_the_login(api: Pool, healthy: Node) -> None:
    for address in addresses(api, healthy):
        assert Client().post(address, {"action": "drain"})["Location"].startswith(reverse("account_login")), address


def test_looking_at_an_action_changes_nothing(operator: Client, api: Pool, healthy: Node) -> None:
    before = list(Event.objects.values_list("pk")), list(NodeState.objects.order_by("pk").values())
    for address in addresses(api, healthy)[:-1]:
        operator.get(address, {"action": "pause" if "nodes" not in address else "drain", "host": "east"})
    assert operator.get(addresses(api, healthy)[-1]).status_code == 405
    assert (list(Event.objects.values_list("pk")), list(NodeState.objects.order_by("pk").values())) == before


def test_an_action_without_the_csrf_token_is_refused(operator: Client, healthy: Node) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(reverse("nodes:node_action", args=[healthy.pk]), {"action": "drain"}).status_code == 403


def submit(client: Client, node: Node, name: str, **fields: str) -> str:
    response = press(client, reverse("nodes:node_action", args=[node.pk]), action=name, **fields)
    assert response.status_code in (200, 409), response.content
    assert ("HX-Trigger" in response.headers) == (response.status_code == 200)
    return str(response.content.decode())


def test_draining_moves_the_share_and_enabling_brings_it_back(operator: Client, healthy: Node) -> None:
    assert "its share has moved" in submit(operator, healthy, "drain", reason="kernel update")
    state = NodeState.objects.get(node=healthy)
    assert (state.admin_state, state.share) == ("draining", 0)
    assert Event.objects.get(type="admin_state_changed").actor == "operator"
    assert "takes its share" in submit(operator, healthy, "enable")
    assert NodeState.objects.get(node=healthy).share > 0


@pytest.mark.parametrize(("name", "state"), [("maintenance", "maintenance"), ("disable", "disabled"), ("fail_over", "draining")])
def test_each_way_out_of_service(operator: Client, healthy: Node, name: str, state: str) -> None:
    submit(operator, healthy, name)
    assert NodeState.objects.get(node=healthy).admin_state == state


def test_failing_back_enables_what_was_drained(operator: Client, healthy: Node) -> None:
    submit(operator, healthy, "fail_over")
    submit(operator, healthy, "fail_back")
    assert NodeState.objects.get(node=healthy).admin_state == "enabled"


def test_forcing_a_breaker_needs_a_reason_and_can_expire(operator: Client, healthy: Node) -> None:
    assert "Give a reason" in submit(operator, healthy, "force_open")
    submit(operator, healthy, "force_open", reason="bad release", duration="3600")
    state = NodeState.objects.get(node=healthy)
    assert (state.breaker_mode, state.breaker_mode_reason, state.breaker_mode_owner) == ("forced_open", "bad release", "operator")
    assert state.breaker_mode_until is not None
    submit(operator, healthy, "release")
    assert NodeState.objects.get(node=healthy).breaker_mode == "auto"


def test_a_refusal_is_a_sentence_on_the_page(operator: Client, healthy: Node) -> None:
    submit(operator, healthy, "drain")
    assert "is draining already" in submit(operator, healthy, "drain")
    assert "knows no such action" in submit(operator, healthy, "explode")


def test_the_last_eligible_node_goes_only_with_the_override(operator: Client, api: Pool) -> None:
    *others, last = Node.objects.filter(pool=api, state__health="healthy").order_by("pk")
    for node in others:
        submit(operator, node, "drain")
    assert "No other node is eligible" in submit(operator, last, "drain")
    submit(operator, last, "drain", override="no_candidate")
    assert sum(NodeState.objects.values_list("share", flat=True)) == 0


def test_a_browser_without_script_reads_the_sentence_after_a_redirect(operator: Client, healthy: Node) -> None:
    response = operator.post(reverse("nodes:node_action", args=[healthy.pk]), {"action": "check_now"}, follow=True)
    assert response.redirect_chain[0][0] == healthy.get_absolute_url()
    assert "The next check starts now" in response.content.decode()


def test_a_disabled_node_is_not_checked(operator: Client, healthy: Node) -> None:
    submit(operator, healthy, "disable")
    assert "enable it first" in submit(operator, healthy, "check_now")


def test_pausing_a_pool_says_who_and_why_until_it_is_resumed(operator: Client, api: Pool) -> None:
    address = reverse("nodes:pool_action", args=[api.slug])
    press(operator, address, action="pause", reason="migration", duration="900")
    assert PoolState.objects.get(pool=api).paused["owner"] == "operator"
    assert "by operator: migration" in operator.get(api.get_absolute_url()).content.decode()
    press(operator, address, action="resume")
    assert PoolState.objects.get(pool=api).paused is None


def test_pausing_all_automation_shows_on_the_dashboard(operator: Client, api: Pool) -> None:
    dashboard = reverse("nodes:dashboard")
    press(operator, reverse("nodes:automation_action"), action="pause", reason="provider outage")
    text = operator.get(dashboard).content.decode()
    assert "Automation held" in text
    assert "paused by operator: provider outage" in text
    press(operator, reverse("nodes:automation_action"), action="resume")
    assert FleetState.objects.get().paused is None
    assert "Automation is not paused" in press(operator, reverse("nodes:automation_action"), action="resume").content.decode()


def test_acknowledging_is_done_once_and_names_the_person(operator: Client, api: Pool) -> None:
    incident = Incident.objects.get()
    address = reverse("nodes:acknowledge", args=[incident.pk])
    operator.post(address, {"note": "on it"})
    incident.refresh_from_db()
    assert (incident.acknowledged_by, incident.acknowledgement) == ("operator", "on it")
    assert "acknowledged this incident already" in operator.post(address, headers=FRAGMENT).content.decode()
    page = operator.get(incident.get_absolute_url()).content.decode()
    assert '<section class="card first hand" id="acknowledgement"' in page
    assert "“on it”" in page


def test_a_note_has_a_limit(operator: Client, api: Pool) -> None:
    response = operator.post(reverse("nodes:acknowledge", args=[Incident.objects.get().pk]), {"note": "x" * 501}, headers=FRAGMENT)
    assert response.status_code == 409


def test_rebalancing_what_is_balanced_is_no_error(operator: Client, api: Pool) -> None:
    address = reverse("nodes:pool_action", args=[api.slug])
    asked = operator.get(address, {"action": "rebalance"}, headers=FRAGMENT).content.decode()
    assert "at their weights already" in asked
    assert "message error" not in asked
    pressed = operator.post(address, {"action": "rebalance", "offered": "of a minute ago"}, headers=FRAGMENT)
    assert pressed.status_code == 200
    assert 'class="toast info"' in pressed.content.decode()


def test_an_isolated_checker_is_named_and_only_operators_may_believe_it(viewer: Client, operator: Client, api: Pool) -> None:
    Checker.objects.create(host="east", doubt="failures", reason="60 of 90 nodes fail", since=timezone.now(), told=True)
    FleetState.objects.update(isolated={"reason": "east: 60 of 90 nodes fail", "owner": "east"}, believed=0, nobody_told=True)
    seen, acting = (client.get(reverse("nodes:dashboard")).content.decode() for client in (viewer, operator))
    assert "Automation held" in seen
    assert "no checker believed" in seen
    assert "Checker <b>east</b> isolated" in seen
    assert 'id="believe-east"' not in seen
    assert 'id="believe-east"' in acting
    answer = press(operator, reverse("nodes:believe_checker"), host="east").content.decode()
    assert "east is believed" in answer
    ended = Event.objects.order_by("pk").values_list("type", "actor")
    assert list(ended)[-2:] == [("checker_rejoined", "operator"), ("checker_believed", "engine")]
    assert "Automation on" in operator.get(reverse("nodes:dashboard")).content.decode()
    assert PoolState.objects.get(pool=api).wake_at <= timezone.now()


def test_a_checker_that_is_not_isolated_is_refused(operator: Client, api: Pool) -> None:
    for host in ("east", ""):
        refused = press(operator, reverse("nodes:believe_checker"), host=host)
        assert refused.status_code == 409
        assert b"is not isolated; reload the page" in refused.content


def test_others_do_the_work_of_an_isolated_checker(viewer: Client, api: Pool) -> None:
    Checker.objects.create(host="west", doubt="canaries", reason="no canary answers", since=timezone.now())
    seen = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "Automation on" in seen
    assert "others do its work: no canary answers" in seen


@pytest.mark.parametrize(("grave", "words"), [(False, "nodes are asked at their last addresses"), (True, "a pool is not watched")])
def test_a_resolver_that_is_away_is_among_what_lasts(viewer: Client, api: Pool, grave: bool, words: str) -> None:
    Checker.objects.create(host="west", resolver_told=False)
    assert "Resolver of" not in viewer.get(reverse("nodes:dashboard")).content.decode()
    Checker.objects.update(resolver_told=True, resolver_grave=grave)
    page = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "Resolver of <b>west</b> away" in page
    assert words in page


def dialog(client: Client, node: Node, name: str) -> str:
    """What the dialog of an action says, without its marks."""
    html = client.get(reverse("nodes:node_action", args=[node.pk]), {"action": name}, headers=FRAGMENT).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("\xa0", " ").split())


def test_the_dialog_says_who_gives_and_who_gets(operator: Client, healthy: Node) -> None:
    text = dialog(operator, healthy, "drain")
    assert "Drain api-1?" in text
    assert "Takes 33.34 % from api-1; api-3 and api-4 get 16.67 % each." in text
    assert "No guard is overridden" in text


def test_the_dialog_says_what_a_person_overrides(operator: Client, api: Pool, healthy: Node) -> None:
    operations.pause(api.pk, actor="maria", reason="freeze")
    assert "Overrides the guard pause" in dialog(operator, healthy, "drain")


def test_the_dialog_of_the_last_eligible_node_offers_the_override(operator: Client, api: Pool) -> None:
    *others, last = Node.objects.filter(pool=api, state__health="healthy").order_by("pk")
    for node in others:
        submit(operator, node, "drain")
    text = dialog(operator, last, "drain")
    assert "No other node is eligible" in text
    assert "Takes 100 % from api-4; nobody gets it: Public API is left without traffic." in text


def test_an_action_that_moves_nothing_says_so(operator: Client, failed: Node) -> None:
    assert "Moves no traffic now." in dialog(operator, failed, "disable")


def test_a_refusal_stands_in_the_place_of_the_button(operator: Client, healthy: Node) -> None:
    submit(operator, healthy, "drain")
    text = dialog(operator, healthy, "drain")
    assert "api-1 is draining already" in text
    assert text.endswith("Close")


def test_an_action_that_nobody_was_asked_about_is_asked_about(operator: Client, healthy: Node) -> None:
    address = reverse("nodes:node_action", args=[healthy.pk])
    for version in ("", "0" * 16):
        answer = operator.post(address, {"action": "drain", "reason": "kernel", "offered": version}, headers=FRAGMENT)
        assert answer.status_code == 409
        assert 'value="kernel"' in answer.content.decode()
    assert NodeState.objects.get(node=healthy).admin_state == "enabled"


def test_an_action_is_not_done_when_it_would_do_something_else_by_now(operator: Client, api: Pool, healthy: Node) -> None:
    address = reverse("nodes:node_action", args=[healthy.pk])
    version = offered(operator, address, action="drain")
    operations.set_admin_state(Node.objects.get(name="api-3").pk, AdminState.DRAINING, actor="maria", reason="first")
    answer = operator.post(address, {"action": "drain", "offered": version}, headers=FRAGMENT)
    assert answer.status_code == 409
    assert "has changed since you asked, so nothing was done" in answer.content.decode()
    assert "api-4 gets 50" in answer.content.decode()
    assert NodeState.objects.get(node=healthy).admin_state == "enabled"


def test_what_does_not_change_what_it_would_do_is_no_obstacle(operator: Client, api: Pool, healthy: Node) -> None:
    address = reverse("nodes:node_action", args=[healthy.pk])
    version = offered(operator, address, action="drain")
    fleet.observe(api, timezone.now(), {"api-2": (Verdict.FAIL, "connection refused"), "api-3": (Verdict.WARN, "slow")})
    assert operator.post(address, {"action": "drain", "offered": version}, headers=FRAGMENT).status_code == 200


def test_an_open_dialog_learns_that_it_is_out_of_date(operator: Client, healthy: Node) -> None:
    address = reverse("nodes:node_action", args=[healthy.pk])
    fields = {"action": "drain", "offered": offered(operator, address, action="drain")}
    looking = {**FRAGMENT, "HX-Target": "outdated"}
    assert operator.get(address, fields, headers=looking).status_code == 204
    operations.set_admin_state(Node.objects.get(name="api-3").pk, AdminState.DRAINING, actor="maria")
    assert "Out of date" in operator.get(address, fields, headers=looking).content.decode()


def test_without_script_the_dialog_is_a_page(operator: Client, healthy: Node) -> None:
    address = reverse("nodes:node_action", args=[healthy.pk])
    asked = operator.get(address, {"action": "drain"}).content.decode()
    assert "<title>Drain api-1?" in asked
    assert f'<a class="btn" href="{healthy.get_absolute_url()}">Cancel</a>' in asked
    done = press(operator, address, script=False, action="drain")
    assert done.redirect_chain[0][0] == healthy.get_absolute_url()
    assert f'href="{address}?action=enable"' in done.content.decode()


@pytest.mark.parametrize(
    ("name", "undo"),
    [("drain", "enable"), ("maintenance", "enable"), ("disable", "enable"), ("fail_over", "enable"), ("force_open", "release")],
)
def test_what_was_done_can_be_undone(operator: Client, healthy: Node, name: str, undo: str) -> None:
    assert f"?action={undo}" in submit(operator, healthy, name, reason="a try")
    submit(operator, healthy, undo)
    state = NodeState.objects.get(node=healthy)
    assert (state.admin_state, state.breaker_mode) == ("enabled", "auto")
    assert state.share > 0 or name == "disable"  # which is first to be checked


def test_undo_leads_to_where_it_was_before(operator: Client, healthy: Node) -> None:
    submit(operator, healthy, "drain")
    assert "?action=drain" in submit(operator, healthy, "maintenance")


def test_the_dialog_of_resuming_names_what_waited(operator: Client, api: Pool) -> None:
    press(operator, reverse("nodes:automation_action"), action="pause", reason="provider outage")
    fleet.rounds(api, timezone.now(), 4, {"api-3": (Verdict.FAIL, "no route to host")})
    html = operator.get(reverse("nodes:automation_action"), {"action": "resume"}, headers=FRAGMENT).content.decode()
    assert "from api-3" in html
