"""The programs of two consoles on one host never bear one name at a broker."""

from __future__ import annotations

import pytest
from django.conf import settings

from failover_console import processes


def names(port: str) -> list[str]:
    return [argv[argv.index("-n") + 1] for argv in processes.all_processes("127.0.0.1", port).values() if "-n" in argv]


def test_consoles_at_two_ports_share_no_name() -> None:
    one, two = names("8010"), names("8020")

    assert one == ["checks-8010@%h", "alerts-8010@%h", "housekeeping-8010@%h", "celerybeat-8010@%h"]
    assert not set(one) & set(two)


@pytest.mark.parametrize("name", ["checks@%h", "alerts@%h", "housekeeping@%h"])
def test_on_the_default_port_the_names_are_plain(name: str) -> None:
    assert str(settings.PORT) == processes.DEFAULT_PORT
    assert name in names(processes.DEFAULT_PORT)
