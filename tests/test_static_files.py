"""Static files are served in both ways of asking, and all else is passed on."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_htmx
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings

SHEET = "/static/console.css"


@pytest.fixture(autouse=True)
def listed(settings: Any) -> None:
    """As the console does: a request is looked up in the list of all files."""
    settings.WHITENOISE_AUTOREFRESH = False


def test_a_file_is_served_and_a_missing_one_is_not(client: Client, db: None) -> None:
    answer = client.get(SHEET)
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert b"{" in b"".join(answer)
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
async def test_an_event_loop_serves_files_and_passes_on_the_rest() -> None:
    answer = await AsyncClient().get(SHEET)
    answer.close()
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert (await AsyncClient().get("/static/nothing.css")).status_code == 404


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All static files as a start collects them."""
    root = tmp_path_factory.mktemp("static")
    with override_settings(
        STATIC_ROOT=root, STORAGES=settings.STORAGES | {"staticfiles": {"BACKEND": "failover_console.static_files.CollectedFiles"}}
    ):
        call_command("collectstatic", interactive=False, verbosity=0)
        yield root


def test_our_scripts_and_styles_stay_small(collected: Path) -> None:
    def sent(what: str) -> list[Path]:
        hashed = [path for path in collected.glob(what) if re.fullmatch(r"[\w-]+\.[0-9a-f]{12}\.\w+", path.name)]
        assert hashed, what
        assert all(path.stat().st_size > 500 for path in hashed), what
        return [path for path in hashed if not path.name.startswith(("admin", "passkeys"))]  # of a few pages alone

    assert min(script.stat().st_size for script in sent("*.js")) > 1000
    assert sum(script.stat().st_size for script in sent("*.js")) <= 12_288
    sheets = sent("*.css")
    assert sum(sheet.stat().st_size for sheet in sheets) <= 45 * 1024
    assert sum(len(gzip.compress(sheet.read_bytes())) for sheet in sheets) <= 10 * 1024


def selectors(sheet: str) -> list[str]:
    """Of all rules, with spaces where one means something."""
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    found = [" ".join(each.split()) for each in re.findall(r"[^{};]+(?=\{)", sheet)]
    return [re.sub(r"\s*([,>~+(])\s*|\s+(\))|(:)\s+", r"\1\2\3", each) for each in found]


@pytest.mark.parametrize("name", [path.name for path in (settings.BASE_DIR / "failover_console" / "static").glob("*.css")])
def test_a_shorter_sheet_has_the_same_rules(collected: Path, name: str) -> None:
    source = (settings.BASE_DIR / "failover_console" / "static" / name).read_text()
    assert selectors((collected / name).read_text()) == selectors(source)


def test_only_our_own_scripts_and_sheets_are_made_shorter(collected: Path) -> None:
    assert not re.search(r"^\s*//", (collected / "console.js").read_text(), re.MULTILINE)
    assert not re.search(r"/\*|^ ", (collected / "console.css").read_text(), re.MULTILINE)
    assert "/*" in (collected / "admin" / "css" / "base.css").read_text()
    theirs = Path(django_htmx.__file__).parent / "static" / "django_htmx" / "htmx-2.js"
    assert (collected / "django_htmx" / "htmx-2.js").read_bytes() == theirs.read_bytes()
