"""Actions on the pages, and what is refused."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import Checker, Event, FleetState, Incident, Node, NodeState, Pool, PoolState

FRAGMENT = {"HX-Request": "true"}


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
        assert Client().post(address, {"action": "drain"})["Location"].startswith(reverse("login")), address


def test_an_action_is_a_post(operator: Client, api: Pool, healthy: Node) -> None:
    assert {operator.get(address).status_code for address in addresses(api, healthy)} == {405}


def test_an_action_without_the_csrf_token_is_refused(operator: Client, healthy: Node) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(reverse("nodes:node_action", args=[healthy.pk]), {"action": "drain"}).status_code == 403


def submit(client: Client, node: Node, name: str, **fields: str) -> str:
    response = client.post(reverse("nodes:node_action", args=[node.pk]), {"action": name, **fields}, headers=FRAGMENT)
    assert response.status_code in (200, 409), response.content
    assert ("HX-Trigger" in response.headers) == (response.status_code == 200)
    return response.content.decode()


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
    operator.post(address, {"action": "pause", "reason": "migration", "duration": "900"})
    assert PoolState.objects.get(pool=api).paused["owner"] == "operator"
    assert "by operator: migration" in operator.get(api.get_absolute_url()).content.decode()
    operator.post(address, {"action": "resume"})
    assert PoolState.objects.get(pool=api).paused is None


def test_pausing_all_automation_shows_on_the_dashboard(operator: Client, api: Pool) -> None:
    dashboard = reverse("nodes:dashboard")
    operator.post(reverse("nodes:automation_action"), {"action": "pause", "reason": "provider outage"})
    text = operator.get(dashboard).content.decode()
    assert "automation held: paused" in text
    assert "by operator: provider outage" in text
    operator.post(reverse("nodes:automation_action"), {"action": "resume"})
    assert FleetState.objects.get().paused is None
    assert (
        "Automation is not paused"
        in operator.post(reverse("nodes:automation_action"), {"action": "resume"}, headers=FRAGMENT).content.decode()
    )


def test_acknowledging_is_done_once_and_names_the_person(operator: Client, api: Pool) -> None:
    incident = Incident.objects.get()
    address = reverse("nodes:acknowledge", args=[incident.pk])
    operator.post(address, {"note": "on it"})
    incident.refresh_from_db()
    assert (incident.acknowledged_by, incident.acknowledgement) == ("operator", "on it")
    assert "acknowledged this incident already" in operator.post(address, headers=FRAGMENT).content.decode()
    assert "Acknowledged by <strong>operator</strong>" in operator.get(incident.get_absolute_url()).content.decode()


def test_a_note_has_a_limit(operator: Client, api: Pool) -> None:
    response = operator.post(reverse("nodes:acknowledge", args=[Incident.objects.get().pk]), {"note": "x" * 501}, headers=FRAGMENT)
    assert response.status_code == 409


def test_rebalancing_what_is_balanced_is_refused(operator: Client, api: Pool) -> None:
    text = operator.post(reverse("nodes:pool_action", args=[api.slug]), {"action": "rebalance"}, headers=FRAGMENT).content.decode()
    assert "at their weights already" in text


def test_an_isolated_checker_is_named_and_only_operators_may_believe_it(viewer: Client, operator: Client, api: Pool) -> None:
    Checker.objects.create(host="east", doubt="failures", reason="60 of 90 nodes fail", since=timezone.now(), told=True)
    FleetState.objects.update(isolated={"reason": "east: 60 of 90 nodes fail", "owner": "east"}, believed=0, nobody_told=True)
    seen, acting = (client.get(reverse("nodes:dashboard")).content.decode() for client in (viewer, operator))
    assert "automation held: no checker believed" in seen
    assert "Checker <strong>east</strong> isolated" in seen
    assert "Believe this checker" not in seen
    assert "Believe this checker" in acting
    assert "hx-confirm" in acting

    answer = operator.post(reverse("nodes:believe_checker"), {"host": "east"}, headers=FRAGMENT).content.decode()
    assert "east is believed" in answer
    ended = Event.objects.order_by("pk").values_list("type", "actor")
    assert list(ended)[-2:] == [("checker_rejoined", "operator"), ("checker_believed", "engine")]
    assert "automation on" in operator.get(reverse("nodes:dashboard")).content.decode()
    assert PoolState.objects.get(pool=api).wake_at <= timezone.now()


def test_a_checker_that_is_not_isolated_is_refused(operator: Client, api: Pool) -> None:
    for host in ("east", ""):
        refused = operator.post(reverse("nodes:believe_checker"), {"host": host}, headers=FRAGMENT)
        assert refused.status_code == 409
        assert b"is not isolated; reload the page" in refused.content


def test_others_do_the_work_of_an_isolated_checker(viewer: Client, api: Pool) -> None:
    Checker.objects.create(host="west", doubt="canaries", reason="no canary answers", since=timezone.now())
    seen = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "automation on" in seen
    assert "others do its work: no canary answers" in seen
