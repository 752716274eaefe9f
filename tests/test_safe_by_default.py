"""What docs/security.md claims of settings and sources, where no other test looks."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ValidationError
from django.test import Client

from failover_console import processes
from failover_console.accounts.hashing import BoundedPBKDF2
from failover_console.celery import app
from nodes.models.encrypted import EncryptedTextUnreadableError, decrypt, encrypt

ROOT = Path(__file__).parent.parent
SOURCES = [path for package in ("failover_console", "nodes", "alerts") for path in sorted((ROOT / package).rglob("*.py"))]
SCRIPTS = sorted((ROOT / "failover_console/static").glob("*.js"))
CODE_OF_OTHERS = {"eval", "exec", "compile", "__import__", "system", "popen", "from_string", "Template"}
READERS_OF_OBJECTS = {"pickle", "marshal", "shelve", "yaml", "dill", "jsonpickle"}
WHERE_SECRETS_ARE_MADE = (
    "failover_console/accounts",
    "failover_console/environment.py",
    "nodes/models",
    "nodes/admin",
    "alerts/admin.py",
)
LONG = "ein langes Passwort 東京 🦆 " * 4  # 92 characters, spaces at its end


def calls(source: str) -> set[str]:
    """The names that are called, and `shell` where a call is given one; `re.compile` is another matter."""
    found = [part for part in ast.walk(ast.parse(source)) if isinstance(part, ast.Call)]
    names = {part.func.id for part in found if isinstance(part.func, ast.Name)}
    names |= {part.func.attr for part in found if isinstance(part.func, ast.Attribute) and part.func.attr != "compile"}
    return names | {word.arg for part in found for word in part.keywords if word.arg == "shell"}


def imports(source: str) -> set[str]:
    found = set()
    for part in ast.walk(ast.parse(source)):
        if isinstance(part, ast.Import):
            found |= {each.name.partition(".")[0] for each in part.names}
        elif isinstance(part, ast.ImportFrom):
            found.add((part.module or "").partition(".")[0])
    return found


def test_nothing_runs_what_it_was_given() -> None:
    assert {str(path): odd for path in SOURCES if (odd := calls(path.read_text()) & {*CODE_OF_OTHERS, "shell"})} == {}


def test_nothing_reads_objects_from_bytes() -> None:
    assert {str(path): odd for path in SOURCES if (odd := imports(path.read_text()) & READERS_OF_OBJECTS)} == {}


@pytest.mark.parametrize("place", WHERE_SECRETS_ARE_MADE)
def test_secrets_are_made_by_no_ordinary_chance(place: str) -> None:
    paths = [path for path in SOURCES if path.is_relative_to(ROOT / place)]
    assert paths
    assert [path for path in paths if "random" in imports(path.read_text())] == []


def test_these_looks_at_sources_find_what_they_look_for() -> None:
    assert calls("eval(x)\nos.system(y)\nrun(z, shell=True)\nre.compile(p)") == {"eval", "system", "run", "shell"}
    assert imports("import pickle\nfrom random import choice") == {"pickle", "random"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_runs_text_keeps_anything_or_hinders_paste(script: Path) -> None:
    odd = (
        r"\beval\(|new Function|document\.(?:write|cookie)|localStorage|sessionStorage|indexedDB"
        r"|[\"']paste[\"']|set(?:Timeout|Interval)\([\"'`]"
    )
    assert re.findall(odd, script.read_text()) == []


def test_over_https_no_other_host_sets_our_cookies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PUBLIC_URL", "https://console.example")
    made = runpy.run_path(str(ROOT / "failover_console/settings.py"))
    assert made["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert made["CSRF_COOKIE_NAME"].startswith("__Host-")
    assert (made["SECURE_HSTS_INCLUDE_SUBDOMAINS"], "SESSION_COOKIE_PATH" in made) == (True, False)


def test_a_session_is_named_by_chance_and_holds_plain_values(db: None) -> None:
    names = {SessionStore()._get_new_session_key() for _ in range(20)}  # type: ignore[attr-defined]  # the stubs leave it out
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z0-9]{32}", name) for name in names)
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
    assert list(app.conf.accept_content) == ["json"]


@pytest.mark.parametrize("password", ["1234567890", "qwertyuiop", "password123"])
def test_a_password_that_many_people_have_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match="too common"):
        validate_password(password)


@pytest.mark.parametrize("password", [LONG, "quiet little harbour", "🦆" * 12, "mmmmmmqmmmmmmm"])
def test_a_password_may_be_long_and_of_any_characters(password: str) -> None:
    validate_password(password)


def test_no_end_of_a_password_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPBKDF2, "iterations", 10)
    stored = make_password(LONG)
    assert check_password(LONG, stored)
    assert not check_password(LONG.rstrip(), stored)


def test_a_hash_of_a_password_is_slow_and_has_a_salt_of_its_own() -> None:
    hasher = BoundedPBKDF2()
    assert settings.PASSWORD_HASHERS == ["failover_console.accounts.hashing.BoundedPBKDF2"]
    assert (hasher.algorithm, hasher.iterations >= 310_000) == ("pbkdf2_sha256", True)
    assert len({hasher.salt() for _ in range(10)}) == 10
    assert hasher.salt_entropy >= 128


def test_the_same_secret_is_sealed_differently_each_time_and_a_changed_one_is_not_read() -> None:
    one, other = encrypt("hunter2"), encrypt("hunter2")
    assert one != other
    assert decrypt(one) == decrypt(other) == "hunter2"
    middle = len(one) // 2
    with pytest.raises(EncryptedTextUnreadableError):
        decrypt(one[:middle] + ("A" if one[middle] != "A" else "B") + one[middle + 1 :])


def test_the_log_in_lets_a_browser_fill_it_in(client: Client, db: None) -> None:
    page = client.get("/accounts/login/").content.decode()
    assert 'autocomplete="current-password"' in page
    assert 'autocomplete="username' in page


def test_no_other_site_may_read_an_answer(client: Client, db: None) -> None:
    for address in ("/accounts/login/", "/api/v1/pools/x/shares", "/healthz"):
        answer = client.get(address, headers={"origin": "https://elsewhere.example"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], address


def test_no_answer_names_the_server() -> None:
    assert "--no-server-header" in processes.all_processes("127.0.0.1", "8000", [])["web"]
