"""Who may come in: each change of a user is an event with actor and address, in the transaction of the change."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from django.contrib.admin import site as admin_site
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from nodes.models import Event
from tests.admin.conftest import page

FROM = "192.0.2.7"
SECRET = "a-long-passphrase-of-hers"


@pytest.fixture
def vera(db: None) -> User:
    made = User.objects.create_user("vera", password=SECRET)
    made.groups.add(Group.objects.get(name="viewer"))
    return made


def change(client: Client, user: User, **given: Any) -> Any:
    """Post the form of a user: what is stored, with these changed; None unticks."""
    stored = {"username": user.username, "is_active": "on", "groups": [group.pk for group in user.groups.all()]}
    posted = {name: value for name, value in {**stored, **given}.items() if value is not None}
    return client.post(page("user", "change", user.pk), posted, REMOTE_ADDR=FROM)


def told() -> Event:
    return Event.objects.get(type="account_changed")


def role(name: str) -> list[int]:
    return [Group.objects.get(name=name).pk]


def test_a_viewer_who_is_made_an_admin_leaves_a_trace(admin: Client, vera: User) -> None:
    assert change(admin, vera, groups=role("admin")).status_code == 302
    event = told()
    assert (event.actor, event.message) == ("ada", "ada edited user vera: Groups viewer → admin")
    assert event.detail == {"address": FROM, "before": {"Groups": "viewer"}, "after": {"Groups": "admin"}}
    assert [group.name for group in User.objects.get(username="vera").groups.all()] == ["admin"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"is_superuser": "on"}, "Superuser status no → yes"),
        ({"is_active": None}, "Active yes → no"),
        ({"groups": []}, "Groups viewer → none"),
        ({"email": "vera@example.test"}, "Email address"),
        ({"username": "verity"}, "Username"),
        ({"first_name": "Vera"}, "First name"),
    ],
)
def test_each_field_of_a_user_is_told(root: Client, vera: User, given: dict[str, Any], said: str) -> None:
    assert change(root, vera, **given).status_code == 302
    assert told().message.endswith(f": {said}")
    assert told().detail["address"] == FROM
    (label,) = told().detail["after"]
    assert label in said


def test_a_form_that_changes_nothing_tells_nothing(admin: Client, vera: User) -> None:
    change(admin, vera)
    assert not Event.objects.exists()


def test_a_new_user_is_told_without_the_password(admin: Client) -> None:
    given = {"username": "nora", "usable_password": "true", "password1": SECRET, "password2": SECRET}
    assert admin.post(page("user", "add"), given, REMOTE_ADDR=FROM).status_code == 302
    assert told().message == "ada added user nora: Username, Password"
    assert SECRET not in str(told().detail)
    assert told().detail["after"] == {"Username": "nora", "Password": "changed"}


@pytest.mark.parametrize("how", ["form", "list"])
def test_a_removed_user_is_told(admin: Client, vera: User, how: str) -> None:
    if how == "form":
        admin.post(page("user", "delete", vera.pk), {"post": "yes"})
    else:
        admin.post(page("user"), {"action": "delete_selected", "_selected_action": [vera.pk], "post": "yes"})
    assert not User.objects.filter(username="vera").exists()
    assert told().message == "ada deleted user vera"


@pytest.mark.parametrize(("given", "did"), [({"set-password": "1"}, "changed"), ({"unset-password": "1"}, "removed")])
def test_a_password_that_an_admin_sets_or_takes_away_is_told(admin: Client, vera: User, given: dict[str, str], did: str) -> None:
    usable = "true" if did == "changed" else "false"
    new = {"password1": SECRET * 2, "password2": SECRET * 2, "usable_password": usable}
    answer = admin.post(reverse("admin:auth_user_password_change", args=[vera.pk]), {**new, **given}, REMOTE_ADDR=FROM)
    assert answer.status_code == 302
    assert told().message == f"ada {did} the password of vera"
    assert told().detail == {"address": FROM}


def refusal(response: Any) -> str:
    return str(response.context["adminform"].form.errors)


def rights(name: str) -> tuple[bool, bool]:
    person = User.objects.get(username=name)
    return person.is_superuser, person.is_active


@pytest.fixture
def rita(db: None) -> User:
    """A second superuser."""
    return User.objects.create_superuser("rita", password="-")


def late(view: str, person: User, **given: str) -> dict[str, Any]:
    """What a page shows when its reader has lost a superuser's rights to somebody quicker, while their request was under way."""
    reader = User.objects.create_superuser("rex", password="-")
    User.objects.filter(pk=reader.pk).update(is_superuser=False)
    User.objects.filter(is_superuser=True).exclude(pk=person.pk).update(is_superuser=False)
    request = RequestFactory().post("/", given)
    request.user = reader
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # as Django's test client says it
    shown: dict[str, Any] = getattr(admin_site._registry[User], view)(request, str(person.pk)).context_data
    return shown


@pytest.mark.parametrize("given", [{"is_active": "on"}, {"is_superuser": "on"}])
def test_of_two_superusers_who_take_each_other_away_one_stays(rita: User, given: dict[str, str]) -> None:
    refused = late("change_view", rita, username="rita", **given)["adminform"].form.errors
    assert "rita is the last active superuser: make another one first." in str(refused)
    assert rights("rita") == (True, True)


def test_of_two_superusers_who_delete_each_other_one_stays(rita: User) -> None:
    assert late("delete_view", rita, post="yes")["protected"] == ["No active superuser would be left: make another one first."]
    assert rights("rita") == (True, True)


def test_the_only_superuser_does_not_give_it_up(root: Client) -> None:
    answer = change(root, User.objects.get(username="root"))
    assert "root is the last active superuser: make another one first." in refusal(answer)
    assert rights("root") == (True, True)


def test_one_of_two_superusers_may_give_it_up(root: Client, rita: User) -> None:
    assert change(root, User.objects.get(username="root")).status_code == 302
    assert rights("root") == (False, True)


def test_a_superuser_who_is_disabled_counts_for_nothing(root: Client, rita: User) -> None:
    User.objects.filter(pk=rita.pk).update(is_active=False)
    assert "last active superuser" in refusal(change(root, User.objects.get(username="root")))


@pytest.mark.parametrize("who", ["root", "admin"])
def test_nobody_disables_themselves(who: str, rita: User, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(who)
    me = User.objects.get(pk=client.session["_auth_user_id"])
    answer = change(client, me, is_active=None, is_superuser="on" if me.is_superuser else None)
    assert "You cannot disable yourself; another admin can." in refusal(answer)
    assert rights(me.username)[1]


def delete(client: Client, how: str, *people: User) -> str:
    if how == "form":
        return client.post(page("user", "delete", people[0].pk), {"post": "yes"}).content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [person.pk for person in people], "post": "yes"}
    return client.post(page("user"), chosen).content.decode()


@pytest.mark.parametrize("how", ["form", "list"])
def test_nobody_deletes_themselves(root: Client, rita: User, how: str) -> None:
    assert "You cannot delete yourself; another admin can." in delete(root, how, User.objects.get(username="root"))
    assert rights("root") == (True, True)


def test_a_list_that_holds_who_stays_deletes_nobody(root: Client, vera: User) -> None:
    delete(root, "list", vera, User.objects.get(username="root"))
    assert User.objects.filter(username="vera").exists()


def test_one_superuser_deletes_another(root: Client, rita: User) -> None:
    delete(root, "form", rita)
    assert not User.objects.filter(username="rita").exists()


@pytest.mark.parametrize("how", ["form", "list"])
def test_the_page_that_asks_says_what_a_deletion_does(admin: Client, vera: User, how: str) -> None:
    if how == "form":
        asked = admin.get(page("user", "delete", vera.pk)).content.decode()
    else:
        asked = admin.post(page("user"), {"action": "delete_selected", "_selected_action": [vera.pk]}).content.decode()
    assert f">{'Delete user vera' if how == 'form' else 'Delete 1 user'}</button>" in asked
    assert "User_groups" not in asked


def test_an_admin_is_offered_no_new_password_of_a_superuser(admin: Client, root: Client, rita: User) -> None:
    where = page("user", "change", rita.pk)
    assert "../password/" not in admin.get(where).content.decode()
    assert "../password/" in root.get(where).content.decode()


def test_each_way_with_a_password_has_one_button(admin: Client, vera: User) -> None:
    body = admin.get(reverse("admin:auth_user_password_change", args=[vera.pk])).content.decode()
    forms = [form for form in body.split("<form") if "usable_password" in form]
    assert [form.count('type="submit"') for form in forms] == [1, 1]
    assert "LDAP" not in body + admin.get(page("user", "add")).content.decode()


def test_the_list_says_who_is_a_superuser(root: Client, vera: User) -> None:
    body = root.get(page("user")).content.decode()
    assert re.findall(r'class="field-roles[^>]*>([^<]*)<', body) == ["superuser", "viewer"]


def test_a_password_that_is_refused_is_no_change(admin: Client, vera: User) -> None:
    given = {"password1": "short", "password2": "short", "usable_password": "true", "set-password": "1"}
    admin.post(reverse("admin:auth_user_password_change", args=[vera.pk]), given)
    assert not Event.objects.exists()


def test_a_change_that_cannot_be_told_is_not_made(admin: Client, vera: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE nodes_event ADD CONSTRAINT nothing_new CHECK (type <> 'account_changed')")
    with pytest.raises(psycopg.Error):
        change(admin, vera, groups=role("admin"))
    assert [group.name for group in User.objects.get(username="vera").groups.all()] == ["viewer"]


def test_the_address_is_for_those_who_may_see_users(admin: Client, operator: Client, vera: User) -> None:
    change(admin, vera, groups=role("operator"))
    where = reverse("nodes:event", args=[told().pk])
    assert FROM in admin.get(where).content.decode()
    seen = operator.get(where).content.decode()
    assert FROM not in seen
    assert "Groups viewer → operator" in seen


def test_nobody_edits_what_a_role_may_do(root: Client) -> None:
    answer = root.post(page("group", "change", *role("viewer")), {"name": "viewer", "permissions": []})
    assert answer.status_code == 403


@pytest.mark.django_db
def test_a_superuser_made_on_the_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", SECRET)
    call_command("createsuperuser", interactive=False, username="rita", email="rita@example.test", verbosity=0)
    assert (told().actor, told().message) == ("manage.py", "createsuperuser made rita, a superuser")


def test_a_password_changed_on_the_server_is_told(vera: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: SECRET * 2)
    call_command("changepassword", "vera", verbosity=0)
    assert told().message == "changepassword changed the password of vera"
    vera.refresh_from_db()
    assert vera.check_password(SECRET * 2)
