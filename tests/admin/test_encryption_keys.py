"""Changing the encryption key while the console runs: everything is sealed by the first key, and the page says which may go."""

from __future__ import annotations

from io import StringIO
from typing import Any

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from alerts.models import Destination
from nodes.models import Check
from nodes.models.encrypted import decrypt, encrypt
from nodes.sealed import columns, fingerprint, reseal, usage
from tests.admin.conftest import Fleet

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))
SECRET = "X-Key: hunter2"
SLACK = "https://hooks.slack.test/services/x"


def sealed_by(key: str, settings: Any, fleet: Fleet) -> None:
    """A secret of each kind, sealed by this key."""
    settings.ENCRYPTION_KEYS = [key]
    Check.objects.filter(node=fleet.first).update(headers=SECRET)
    Destination.objects.create(name="ops", kind="slack", address=SLACK)
    user = User.objects.create_user("vera")
    Authenticator.objects.create(user=user, type="totp", data={"secret": encrypt("JBSWY3DP"), "codes": [encrypt("one")], "n": 3})


@pytest.fixture
def rotated(fleet: Fleet, settings: Any) -> Fleet:
    """A new key stands before the one that sealed everything."""
    sealed_by(OLD, settings, fleet)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    return fleet


def reencrypt(*words: str) -> str:
    out = StringIO()
    call_command("reencrypt", *words, stdout=out)
    return out.getvalue()


def readable(fleet: Fleet) -> list[Any]:
    """All secrets as the console reads them."""
    data = Authenticator.objects.get().data
    seconds = [decrypt(data["secret"]), *map(decrypt, data["codes"]), data["n"]]
    return [fleet.first.checks.get().headers, Destination.objects.get().address, *seconds]


ALL = [SECRET, SLACK, "JBSWY3DP", "one", 3]


def test_every_column_that_is_sealed_is_known() -> None:
    named = [(column.table, column.name) for column in columns()]
    assert named == sorted(named)
    assert set(named) >= {
        ("nodes_check", "headers"), ("alerts_destination", "address"), ("alerts_destination", "key"),
        ("alerts_page", "opened_with"), ("mfa_authenticator", "data"),
    }  # fmt: skip  # pairs beside pairs


def test_after_it_the_old_key_may_go_and_everything_is_read(rotated: Fleet, settings: Any) -> None:
    said = reencrypt()
    assert said.startswith("3 rows were sealed anew.")
    assert f"key 1 ({fingerprint(NEW)}): 4 values, seals what is new" in said
    assert f"key 2 ({fingerprint(OLD)}): 0 values, may be removed" in said
    settings.ENCRYPTION_KEYS = [NEW]
    assert readable(rotated) == ALL


def test_a_check_changes_nothing(rotated: Fleet) -> None:
    assert f"key 2 ({fingerprint(OLD)}): 4 values, is needed" in reencrypt("--check")
    assert usage().keys[1].values == 4


def test_it_goes_on_where_it_was_stopped(rotated: Fleet, settings: Any) -> None:
    for stops in range(3):
        steps = reseal()
        assert next(steps).done == 1
        steps.close()
        assert usage().keys[1].values > 0 or stops == 2
    assert list(reseal()) == []
    settings.ENCRYPTION_KEYS = [NEW]
    assert readable(rotated) == ALL


def test_what_no_key_reads_is_named_kept_and_told(rotated: Fleet, settings: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_check SET headers = %s", [Fernet(LOST).encrypt(b"gone").decode()])
    out = StringIO()
    with pytest.raises(CommandError, match="2 rows cannot be read"):
        call_command("reencrypt", stdout=out)
    check = rotated.first.checks.defer("headers").get().pk
    assert f"no key reads nodes_check {check} (headers)" in out.getvalue()
    settings.ENCRYPTION_KEYS = [NEW, LOST]
    assert rotated.first.checks.get().headers == "gone"
    assert Destination.objects.get().address == SLACK  # the others went on


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_row_is_read_again_under_its_lock(rotated: Fleet, settings: Any) -> None:
    """What was edited between the look and the lock stays; what somebody holds is left for the next run, and said."""
    steps = reseal()
    next(steps)
    others = connection.get_connection_params() | {"dbname": connection.settings_dict["NAME"]}
    with psycopg.connect(**others) as editor:
        editor.execute("SELECT 1 FROM nodes_check FOR UPDATE")
        done = [each.busy[:] for each in steps][-1]
        assert len(done) == 1
        assert done[0].startswith("nodes_check")
        editor.execute("UPDATE nodes_check SET headers = %s", (Fernet(OLD).encrypt(b"X-Key: edited").decode(),))
    reencrypt()
    settings.ENCRYPTION_KEYS = [NEW]
    assert rotated.first.checks.get().headers == "X-Key: edited"


def test_the_page_shows_fingerprints_and_no_key(admin: Client, rotated: Fleet) -> None:
    body = admin.get(reverse("encryption_keys")).content.decode()
    assert [fingerprint(key) in body for key in (OLD, NEW)] == [True, True]
    assert not any(key in body or key[:8] in body for key in (OLD, NEW))
    assert "seals what is new" in body
    assert "is needed" in body
    reencrypt()
    assert "may be removed" in admin.get(reverse("encryption_keys")).content.decode()
    assert reverse("encryption_keys") in admin.get(reverse("admin:index")).content.decode()


def test_the_page_names_what_no_key_reads(admin: Client, rotated: Fleet, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    body = admin.get(reverse("encryption_keys")).content.decode()
    assert "Read by no key" in body
    assert "alerts_destination" in body


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_keys_are_for_admins(role: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(role)
    answer = client.get(reverse("encryption_keys"), follow=True)
    assert answer.status_code == 403


def test_a_page_that_looks_at_some_rows_calls_no_key_removable(rotated: Fleet) -> None:
    Destination.objects.create(name="second", kind="slack", address=SLACK)
    reencrypt()
    found = usage(most=1)
    assert not found.whole
    assert not found.may_go(found.keys[1])
