"""Second factors as a person meets them, where one is required: the app, its codes, a passkey, and sessions that are ended."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.accounts.conftest import code_of
from tests.product import PASSWORD, Product, free_ports, running

pytestmark = [pytest.mark.browser, pytest.mark.integration]
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip  # one device
_names = (f"person-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def strict() -> Iterator[Product]:
    """A console at a name, as passkeys need one, where everybody who acts needs a second factor."""
    port = free_ports(1)
    with running(port=port, PUBLIC_URL=f"http://localhost:{port}", SECOND_FACTOR_REQUIRED="operators") as product:
        yield product


@pytest.fixture
def name(strict: Product) -> str:
    """A superuser of this test alone."""
    made = next(_names)
    strict.do(
        "INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, first_name, last_name, email, date_joined)"
        " VALUES (%s, %s, true, true, true, '', '', '', now())",
        made,
        make_password(PASSWORD),
    )
    return made


@pytest.fixture
def context(browser: Browser, strict: Product) -> Iterator[BrowserContext]:
    """A browser of its own; a refused style, script or address fails the test."""
    made = browser.new_context(base_url=f"http://localhost:{strict.port}", viewport={"width": 1440, "height": 900})
    complaints: list[str] = []

    def watch(page: Page) -> None:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))

    made.on("page", watch)
    yield made
    made.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def log_in(page: Page, name: str) -> None:
    page.goto("/accounts/login/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")


def log_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.click("main button[type=submit]")
    page.wait_for_selector("#id_username")


def prove(page: Page) -> None:
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")


def set_up_app(page: Page) -> tuple[str, list[str]]:
    """From the page of the account to the recovery codes; the app's secret, and the codes."""
    page.get_by_role("link", name="Set up an authenticator app").click()
    prove(page)
    page.wait_for_selector("img.qr")
    secret = page.locator("details p.mono").text_content() or ""
    page.fill("#id_code", code_of(secret))
    page.click("main button[type=submit]")
    page.wait_for_selector(".codes")
    return secret, page.locator(".codes li").all_text_contents()


def test_whoever_needs_one_sets_it_up_first_and_logs_in_by_it_from_then_on(page: Page, name: str) -> None:
    log_in(page, name)
    expect(page.locator("main [role=alert]")).to_contain_text("Set up a second factor first.")
    page.goto("/events/")
    assert page.url.endswith("/accounts/")
    secret, codes = set_up_app(page)
    with page.expect_download() as file:
        page.click("text=Download")
    assert file.value.path().read_text().split() == codes
    page.goto("/events/")
    assert page.url.endswith("/events/")
    log_out(page)
    log_in(page, name)
    page.fill("#id_code", code_of(secret, periods=1))
    page.click("form:has(#id_code) button")
    page.wait_for_selector("#headline")


def test_a_recovery_code_logs_in_once(page: Page, name: str) -> None:
    log_in(page, name)
    _, codes = set_up_app(page)
    log_out(page)
    log_in(page, name)
    page.fill("#id_code", codes[3])
    page.click("form:has(#id_code) button")
    page.wait_for_selector("#headline")
    page.goto("/accounts/")
    expect(page.locator("main")).to_contain_text("9 left.")
    log_out(page)
    log_in(page, name)
    page.fill("#id_code", codes[3])
    page.click("form:has(#id_code) button")
    expect(page.locator("main [role=alert]")).to_have_text("This code is wrong, or was used already.")


def test_a_passkey_is_a_second_step_and_a_whole_log_in(page: Page, context: BrowserContext, name: str) -> None:
    device: Any = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    log_in(page, name)
    page.click("text=Add a passkey")
    prove(page)
    page.fill("#id_name", "My key")
    page.click("main button[type=button]")
    page.wait_for_selector(".codes")
    page.goto("/accounts/")
    expect(page.locator("main")).to_contain_text("My key")
    log_out(page)
    log_in(page, name)
    page.click("text=Use a passkey")
    page.wait_for_selector("#headline")
    log_out(page)
    page.click("text=Log in with a passkey")
    page.wait_for_selector("#headline")


def test_a_passkey_that_says_no_is_said_on_the_page(page: Page, context: BrowserContext, name: str) -> None:
    device: Any = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | {"isUserVerified": False}})
    page.goto("/accounts/login/")
    page.click("text=Log in with a passkey")
    expect(page.locator("form[data-passkey] [role=alert]")).to_have_text("No passkey answered in time, or you said no.")


def test_a_session_elsewhere_is_ended_from_the_page_of_the_account(
    page: Page, browser: Browser, name: str, strict: Product
) -> None:
    log_in(page, name)
    _, codes = set_up_app(page)
    elsewhere = browser.new_context(base_url=f"http://localhost:{strict.port}")
    there = elsewhere.new_page()
    log_in(there, name)
    there.fill("#id_code", codes[0])
    there.click("form:has(#id_code) button")
    there.wait_for_selector("#headline")
    page.goto("/accounts/")
    page.click("text=End all others")
    expect(page.locator("#messages")).to_contain_text("It is logged out.")
    there.goto("/events/")
    assert "/accounts/login/" in there.url
    elsewhere.close()
