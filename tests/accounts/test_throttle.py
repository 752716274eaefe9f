"""Guessing waits, before anything is hashed; owners do not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from failover_console.accounts import device, throttle
from failover_console.accounts.hashing import BusyError
from nodes.ledger import logins
from nodes.models import LoginDelay
from nodes.operations import ledger
from tests.accounts.conftest import PASSWORD, Later, code_of, give_app, guess, log_in

pytestmark = pytest.mark.django_db


def test_the_fourth_failure_of_an_account_makes_the_next_try_wait(vera: User) -> None:
    assert guess("vera", 5) == [200, 200, 200, 200, 429]


def test_a_refused_try_says_how_long_to_wait_and_hashes_nothing(vera: User, monkeypatch: pytest.MonkeyPatch) -> None:
    guess("vera", 4)
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", lambda *_: pytest.fail("it was hashed"))
    answer = log_in(Client(), "vera")
    assert 15 < int(answer["Retry-After"]) <= 25
    assert f"Too many tries failed. Wait {answer['Retry-After']} s" in answer.content.decode()


def test_the_wait_doubles_up_to_half_a_minute_and_never_more(vera: User, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the waits of the product
    waits = []
    for _ in range(12):
        with ledger() as cursor:
            assert logins.admit(cursor, "one", throttle.FREE_OF_ACCOUNT) == 0
        bucket = LoginDelay.objects.get(key="one")
        waits.append((bucket.free_at - bucket.failed_at).total_seconds())
        later(waits[-1])
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_name_that_nobody_has_waits_as_one_that_exists(vera: User) -> None:
    assert guess("vera", 5, address="192.0.2.1") == guess("nobody", 5, address="192.0.2.2")


def test_upper_and_lower_case_are_one_account(vera: User) -> None:
    assert guess("vera", 4) + guess("VERA") == [200, 200, 200, 200, 429]


def test_after_the_wait_the_right_password_logs_in_and_forgets_the_failures(vera: User, later: Later) -> None:
    guess("vera", 4)
    later(31)
    assert log_in(Client(), "vera").status_code == 302
    assert guess("vera", 5) == [200, 200, 200, 200, 429]


def test_a_quarter_of_an_hour_without_a_failure_forgets_them(vera: User, later: Later) -> None:
    guess("vera", 4)
    later(901)
    assert guess("vera", 4) == [200] * 4


def test_a_browser_that_logged_in_before_is_kept_out_by_no_stranger(vera: User) -> None:
    known = Client()
    log_in(known, "vera", address="192.0.2.9")
    known.post("/accounts/logout/")
    assert guess("vera", 5)[-1] == 429
    assert log_in(known, "vera", address="192.0.2.9").status_code == 302


def test_a_known_browser_guesses_no_faster_than_a_stranger(vera: User) -> None:
    known = Client()
    log_in(known, "vera", address="192.0.2.9")
    known.post("/accounts/logout/")
    assert guess("vera", 5, client=known) == [200, 200, 200, 200, 429]


def test_it_is_known_for_its_own_account_alone_and_until_the_password_changes(vera: User, oscar: User) -> None:
    known = Client()
    log_in(known, "vera")
    known.post("/accounts/logout/")
    guess("oscar", 4, address="192.0.2.8")
    assert log_in(known, "oscar").status_code == 429
    vera.set_password("amber-harbour-77")
    vera.save()
    guess("vera", 4, address="192.0.2.7")
    assert log_in(known, "vera", "amber-harbour-77").status_code == 429


def test_a_cookie_of_ones_own_making_is_no_known_browser(vera: User) -> None:
    forged = Client()
    forged.cookies[device.COOKIE] = "eyJkZXZpY2UiOiJ4IiwibWFya3MiOltdfQ:1w:x"
    guess("vera", 4)
    assert log_in(forged, "vera").status_code == 429


def test_the_cookie_is_read_by_no_script(client: Client, vera: User) -> None:
    log_in(client, "vera")
    cookie = client.cookies[device.COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_many_accounts_from_one_address_wait_for_it(vera: User) -> None:
    answers = [guess(f"name-{number}")[0] for number in range(12)]
    assert answers == [200] * 11 + [429]
    assert log_in(Client(), "vera").status_code == 429
    assert log_in(Client(), "vera", address="192.0.2.2").status_code == 302


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
def test_addresses_of_one_subscriber_are_one(vera: User, one: str, other: str, same: bool) -> None:
    for number in range(11):
        guess(f"name-{number}", address=one)
    assert (guess("vera", address=other) == [429]) is same


def test_a_try_that_waits_for_its_account_is_not_counted_against_its_address(vera: User) -> None:
    guess("vera", 20)
    assert guess("nobody") == [200]


def test_a_success_takes_back_its_own_count_alone(vera: User) -> None:
    for number in range(10):
        guess(f"name-{number}")
    assert log_in(Client(), "vera").status_code == 302
    assert [guess(f"more-{number}")[0] for number in range(2)] == [200, 429]


@pytest.mark.integration
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_tries_at_the_same_moment_do_not_slip_past() -> None:
    """Each is counted before its hash: of eight that begin together and do not end, four may be made."""
    together = Barrier(8)

    def begin(_: int) -> bool:
        try:
            together.wait(10)
            with ledger() as cursor:
                return logins.admit(cursor, "one", throttle.FREE_OF_ACCOUNT) == 0
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(begin, range(8))) == 4


def test_old_buckets_are_removed(vera: User, later: Later) -> None:
    guess("vera", 4)
    later(2000)
    with ledger() as cursor:
        logins.watch(cursor)
    assert not LoginDelay.objects.exists()


def test_no_name_that_was_typed_is_stored(vera: User) -> None:
    guess("my-password-by-mistake", 2)
    with connection.cursor() as cursor:
        for table in ("nodes_logindelay", "nodes_loginfailure", "nodes_event"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%mistake%%'")
            assert cursor.fetchone() == (0,), table


def test_codes_of_a_second_factor_wait_for_each_other(client: Client, vera: User) -> None:
    give_app(vera)
    log_in(client, "vera")
    answers = [client.post("/accounts/second-factor/check/", {"code": "000000"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert 15 < int(answers[-1]["Retry-After"]) <= 25
    assert log_in(Client(), "vera").status_code == 302  # the password is another matter


def test_the_present_password_cannot_be_guessed_in_an_open_session(client: Client, vera: User) -> None:
    client.force_login(vera)
    form = {"oldpassword": "wrong", "password1": "amber-harbour-77", "password2": "amber-harbour-77"}
    assert [client.post("/accounts/password/", form).status_code for _ in range(5)][-1] == 429
    assert User.objects.get(username="vera").check_password(PASSWORD)


def test_a_try_that_found_no_turn_to_be_hashed_leaves_no_wait(vera: User, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        guess("vera", address=f"192.0.2.{number}")
        later(61)

    def busy(*_: object, **__: object) -> None:
        raise BusyError

    with monkeypatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "encode", busy)
        assert log_in(Client(), "vera").status_code == 503
    assert log_in(Client(), "vera").status_code == 302


def test_who_has_the_password_keeps_the_owner_out_of_no_second_factor(vera: User, later: Later) -> None:
    secret = give_app(vera)
    owner, thief = Client(), Client()
    log_in(owner, "vera")
    owner.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    owner.post(reverse("account_logout"))
    log_in(thief, "vera", address="198.51.100.9")
    wrong = [thief.post(reverse("mfa_authenticate"), {"code": "000000"}, REMOTE_ADDR="198.51.100.9").status_code for _ in range(5)]
    assert wrong == [200, 200, 200, 200, 429]
    log_in(owner, "vera")
    assert owner.post(reverse("mfa_authenticate"), {"code": code_of(secret, periods=1)}).status_code == 302
