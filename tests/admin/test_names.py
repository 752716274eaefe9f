"""Names are one line of what can be seen: every text field that people fill in, found by asking the models, and the database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import Destination, Rule
from nodes.models import ApiToken, BreakerPolicy, FailoverPolicy, Node, Pool
from nodes.models.encrypted import EncryptedTextField
from nodes.models.names import UNSEEN
from tests.admin.conftest import Fleet, errors, node_form, page, posted

BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u3164"
# Not names: what an answer must hold and what is sent are taken as typed; of certificates the form takes what can be read.
OF_ANSWERS = ("body_contains", "body_excludes", "body_matches", "json_value")
AS_TYPED = {("check", name) for name in (*OF_ANSWERS, "body", "authorities", "client_certificate")}
EDITED = {"pool", "node", "check", "breakerpolicy", "failoverpolicy", "apitoken", "destination", "rule"}

unseen = st.one_of(
    st.sampled_from(BIDIRECTIONAL + LINE_ENDS + ZERO_WIDTH), st.characters(categories=["Cc"], exclude_characters="\0")
)
visible = st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x24F), min_size=1, max_size=20)


def text_fields() -> Iterator[models.Field[Any, Any]]:
    """Every field for text that people fill in; of an array, what it is made of."""
    for model in (*apps.get_app_config("nodes").get_models(), *apps.get_app_config("alerts").get_models()):
        for field in model._meta.local_concrete_fields:
            name = (str(model._meta.model_name), field.name)
            inner = field.base_field if isinstance(field, ArrayField) else field
            plain = isinstance(inner, models.CharField | models.TextField) and not isinstance(inner, EncryptedTextField)
            if name[0] in EDITED and field.editable and plain and not inner.choices and name not in AS_TYPED:
                yield inner


FIELDS = list(text_fields())


def test_the_names_of_all_that_has_one_are_among_the_fields() -> None:
    found = {f"{field.model._meta.model_name}.{field.name}" for field in FIELDS}
    assert {f"{model}.name" for model in EDITED - {"check"}} <= found
    assert {"node.zone", "node.tags", "rule.tag", "pool.slug", "node.address"} <= found


@given(visible, unseen, st.integers(0, 20))
def test_no_field_takes_what_cannot_be_seen(text: str, character: str, place: int) -> None:
    given_text = text[:place] + character + text[place:]
    taken = []
    for field in FIELDS:
        try:
            field.run_validators(given_text)
        except ValidationError:
            continue
        taken.append(field.name)
    assert taken == []


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"]), max_size=20))
def test_what_can_be_seen_is_a_name(text: str) -> None:
    fillers = set("\u034f\u115f\u1160\u3164\uffa0")
    assert (re.search(UNSEEN, text) is None) == (not fillers & set(text))


def test_every_control_and_format_of_unicode_that_hides_is_refused() -> None:
    hidden = [chr(code) for code in range(1, 0x2FFF) if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")]
    assert all(re.search(UNSEEN, each) for each in (*hidden, *BIDIRECTIONAL, *ZERO_WIDTH))


@pytest.mark.parametrize("character", BIDIRECTIONAL + ZERO_WIDTH + "\n\x07")
def test_forms_say_which_character_it_is(root: Client, fleet: Fleet, character: str) -> None:
    name, said = f"A{character}B", f"U+{ord(character):04X}, is none"
    user = User.objects.create_user("vera")
    refused = [
        errors(root.post(page("pool", "change", fleet.pool.pk), posted(fleet.pool, name=name))),
        errors(root.post(page("breakerpolicy", "add"), {"name": name})),
        errors(root.post(page("apitoken", "add"), {"name": name})),
        errors(root.post(page("node", "change", fleet.first.pk), node_form(fleet.first, name=name))),
        errors(root.post(page("node", "change", fleet.first.pk), node_form(fleet.first, zone=name))),
        errors(root.post(page("user", "change", user.pk), {"username": "vera", "last_name": name})),
        errors(root.post("/admin/alerts/destination/add/", {"name": name})),
        errors(root.post("/admin/alerts/rule/add/", {"name": name})),
    ]
    assert [said in text for text in refused] == [True] * len(refused)


@pytest.mark.django_db
def test_the_database_refuses_them_whoever_writes(fleet: Fleet) -> None:
    ApiToken.objects.create(name="t", scopes=[], key="k", digest="d")
    Destination.objects.create(name="d", kind="slack")
    Rule.objects.create(name="r", severities=[])
    for model in (ApiToken, BreakerPolicy, FailoverPolicy, Node, Pool, Destination, Rule):
        for character in BIDIRECTIONAL + LINE_ENDS + ZERO_WIDTH:
            with pytest.raises(IntegrityError), transaction.atomic():
                model.objects.update(name=f"a{character}b")  # type: ignore[attr-defined]  # each has a manager
        model.objects.filter(pk=model.objects.first().pk).update(name="Größe 東京 عربي 🦆")  # type: ignore[attr-defined, union-attr]  # as above


@pytest.mark.parametrize("app", ["nodes.migrations.0026_tokens_and_names", "alerts.migrations.0016_names"])
def test_names_of_before_are_made_visible_and_stay_apart(fleet: Fleet, app: str) -> None:
    migration = import_module(app)
    model: Any = Node if app.startswith("nodes") else Destination
    if model is Destination:
        Destination.objects.create(name="one", kind="slack")
        Destination.objects.create(name="two", kind="slack")
    constraint = f"{model._meta.model_name}_name_seen"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {model._meta.db_table} DROP CONSTRAINT {constraint}")
        cursor.execute(f"UPDATE {model._meta.db_table} SET name = 'x' || chr(8237 + (id %% 2)::int) || repeat('y', 78)", [])
    first, second = model.objects.order_by("pk")
    with connection.schema_editor() as editor:
        migration.show_the_unseen(apps, editor)
    names = {each.pk: each.name for each in model.objects.all()}
    assert names == {each.pk: f"x\ufffd{'y' * 56} ({each.pk})" for each in (first, second)}
