"""The demo's own pages: plainly a demo, switched only by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from failover_console.demo.fleet import Fleet, Mode
from failover_console.demo.http import Request, Response
from failover_console.demo.identity import identity
from failover_console.demo.layout import ROUTING_KEY, SLACK_PATH
from failover_console.demo.pages import Pages
from failover_console.demo.receiver import Receiver, ReceiverMode
from tests.demo.test_fleet import doors
from tests.demo.test_receiver import event, page, post

HOST = {"host": "127.0.0.1:8100"}
STATIC = Path(__file__).resolve().parents[2] / "failover_console/static"


class Site:
    """The pages over a fleet of which only what is switched listens."""

    def __init__(self, directory: Path) -> None:
        self.fleet, self.receiver = Fleet(doors(), directory / "demo.json"), Receiver()
        self._pages = Pages(self.fleet, self.receiver)

    async def get(self, path: str, **headers: str) -> Response:
        answer = await self._pages.answer(Request("GET", path, HOST | headers, b""))
        assert answer is not None
        return answer

    async def send(self, path: str, form: str, **headers: str) -> Response:
        answer = await self._pages.answer(Request("POST", path, HOST | headers, form.encode()))
        assert answer is not None
        return answer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    yield made
    made.fleet.stop()


async def test_every_page_says_that_it_is_a_demo(site: Site) -> None:
    for path in ("/", "/nodes/api-1", "/messages"):
        answer = await site.get(path)
        assert answer.status == 200
        assert b"<strong>DEMO</strong>" in answer.body
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_each_server_has_its_switches(site: Site) -> None:
    body = (await site.get("/")).body.decode()

    for mode in Mode:
        assert body.count(f'value="{mode}"') == (3 if mode == Mode.FAIL_CALLERS else 9)
    assert body.count('aria-pressed="true"') == 9


async def test_a_switch_works_and_leads_back(site: Site) -> None:
    answer = await site.send("/nodes/api-2", "mode=refuse")

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert site.fleet.servers["api-2"].mode == Mode.REFUSE
    assert (await site.send("/nodes/api-2", "mode=refuse&back=one")).headers["Location"] == "/nodes/api-2"
    assert (await site.send("/receiver", "mode=down")).headers["Location"] == "/messages"
    assert site.receiver.mode == ReceiverMode.DOWN


@pytest.mark.parametrize(
    ("path", "form"),
    [("/nodes/api-2", "mode=dance"), ("/nodes/nobody", "mode=hang"), ("/receiver", "mode=hang"), ("/", "mode=hang")],
)
async def test_a_switch_that_does_not_exist_changes_nothing(site: Site, path: str, form: str) -> None:
    assert (await site.send(path, form)).status == 400
    assert {server.mode for server in site.fleet.servers.values()} == {Mode.HEALTHY}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000"])
async def test_another_sites_form_is_refused(site: Site, origin: str) -> None:
    assert (await site.send("/nodes/api-2", "mode=refuse", origin=origin)).status == 403
    assert (await site.send("/nodes/api-2", "mode=hang", origin="http://127.0.0.1:8100")).status == 303


async def test_what_arrived_is_shown_newest_first_without_a_whole_key(site: Site) -> None:
    await post(site.receiver, SLACK_PATH, {"text": "first <script>"})
    await page(site.receiver, event())

    shown = (await site.get("/messages")).body.decode()
    assert shown.index("api-1 failed") < shown.index("first &lt;script&gt;")
    listed = (await site.get("/messages.json")).body.decode()
    assert [each["service"] for each in json.loads(listed)["messages"]] == ["slack", "pagerduty"]
    assert ROUTING_KEY not in shown + listed


async def test_a_link_of_another_console_shows_nothing_of_ours(site: Site) -> None:
    for path in ("/", "/messages"):
        assert (await site.get(f"{path}?{urlencode({'of': identity()})}")).status == 200
        other = await site.get(f"{path}?of=demo+another")
        assert (other.status, b"api-1" in other.body) == (404, False)
        assert other.body == b"This is the demo of the console at http://127.0.0.1:8000, not of yours.\n"


async def test_an_unknown_page_is_not_found(site: Site) -> None:
    assert (await site.get("/nodes/nobody")).status == 404


async def test_pages_wear_the_consoles_own_sheet_from_their_own_server(site: Site) -> None:
    body = (await site.get("/")).body.decode()
    for name, kind in (("console.css", "text/css"), ("favicon.svg", "image/svg+xml"), ("icons.svg", "image/svg+xml")):
        address = re.search(rf"/static/{name.replace('.', '[^ ]*[.]')}", body)
        assert address is not None, name
        answer = await site.get(address[0])
        assert (answer.status, answer.content_type) == (200, kind)
        assert answer.body == (STATIC / name).read_bytes()
    assert (await site.get("/static/settings.py")).status == 404


@pytest.mark.parametrize(("cookie", "found"), [("a=1; theme=dark", True), ("theme=darkness", False), ("mytheme=dark", False)])
async def test_pages_have_the_theme_that_was_chosen_in_the_console(site: Site, cookie: str, found: bool) -> None:
    assert (b'data-theme="dark"' in (await site.get("/", cookie=cookie)).body) is found
