"""The embedded servers as processes: no capability, no superuser, nothing of the disk but what they keep."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from failover_console.addresses import socket_directory
from failover_console.embedded import Services, postgresql
from failover_console.embedded.redis import Broker
from tests.integration.test_embedded import ask_redis

pytestmark = pytest.mark.integration
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root gives up can be seen as root alone")

# As older versions left a cluster: the console's role is the cluster's first one, and owns everything.
_AS_IT_WAS = (
    "REASSIGN OWNED BY failover TO failover_superuser; DROP OWNED BY failover; DROP ROLE failover;",
    """
    DO $$ BEGIN
      CREATE ROLE other SUPERUSER; SET SESSION AUTHORIZATION other; ALTER ROLE failover_superuser RENAME TO failover;
      SET SESSION AUTHORIZATION failover; DROP ROLE other;
    END $$;
    """,
)
_HELD = """
CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz) ;
CREATE TABLE days (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE SEQUENCE counted;
CREATE VIEW seen AS SELECT * FROM kept;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM kept;
CREATE TYPE pair AS (one int, two int);
CREATE SCHEMA "A b";
CREATE TABLE "A b"."C d" (id serial);
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO kept (at) VALUES (now());
"""
_OF_OTHERS = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND pg_get_userbyid(c.relowner) <> current_user
UNION ALL SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND pg_get_userbyid(p.proowner) <> current_user
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'A b' AND pg_get_userbyid(nspowner) <> current_user
UNION ALL SELECT datname FROM pg_database WHERE datname = current_database() AND pg_get_userbyid(datdba) <> current_user
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def services(data_dir: Path) -> Iterator[Services]:
    made = Services(data_dir)
    yield made
    made.stop()


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@as_root
def test_the_servers_have_no_capability_and_no_group_and_can_gain_none(services: Services) -> None:
    services.start()
    for process in services.processes:
        found = status(process.pid)
        assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, process.name
        assert (found["NoNewPrivs"], found["Groups"]) == ("1", "")
        assert "0" not in found["Uid"].split()


def test_the_servers_can_gain_nothing_whoever_started_them(services: Services) -> None:
    services.start()
    assert [status(process.pid)["NoNewPrivs"] for process in services.processes] == ["1", "1"]


@as_root
def test_the_servers_see_nothing_of_the_data_directory_but_what_they_keep(services: Services, data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "encryption_keys").write_text("a key")
    services.start()
    for process in services.processes:
        seen = os.listdir(f"/proc/{process.pid}/root{data_dir}")
        assert set(seen) <= {"postgres", "postgres.new", "redis", "run"}
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "CREATE TEMP TABLE t (line text); COPY t FROM PROGRAM 'id'",
        "CREATE TEMP TABLE t (line text); COPY t FROM '/etc/passwd'",
        "ALTER SYSTEM SET shared_preload_libraries = 'x'",
        "CREATE ROLE other SUPERUSER",
        "ALTER ROLE failover SUPERUSER",
        "SET ROLE failover_superuser",
        "SET SESSION AUTHORIZATION failover_superuser",
        "LOAD '/tmp/x.so'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x.so'",
        "CREATE DATABASE other",
        "SET session_replication_role = replica",
    ],
)
def test_the_consoles_role_may_do_nothing_but_own_its_database(shared: str, statement: str) -> None:
    with psycopg.connect(shared, autocommit=True) as connection:
        assert connection.info.parameter_status("is_superuser") == "off"
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile)) as refused:
            connection.execute(statement)  # type: ignore[arg-type]  # a table of our own statements
    assert refused.type is psycopg.errors.InsufficientPrivilege


@pytest.mark.parametrize("role", ["failover_superuser", "postgres", "root"])
def test_no_other_role_gets_in(shared: str, role: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba.conf entry"):
        psycopg.connect(shared, user=role)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = Services(tmp_path_factory.mktemp("roles") / "data", with_redis=False)
    yield made.start()["DATABASE_URL"]
    made.stop()


def test_a_cluster_of_an_older_version_is_taken_from_its_superuser_in_place(services: Services, data_dir: Path) -> None:
    url = services.start()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_HELD)
    make_old(services)
    url = services.start()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall() == [("failover_superuser",)]
        assert connection.execute(_OF_OTHERS).fetchall() == []
        connection.execute("INSERT INTO kept (at) VALUES (now())")
        connection.execute(
            "CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-01-02') TO ('2026-01-03'); DROP TABLE days_1"
        )
        connection.execute('ALTER TABLE kept ADD more int; ALTER TABLE "A b"."C d" ADD more int; REFRESH MATERIALIZED VIEW stored')
        connection.execute("ALTER SEQUENCE counted RESTART; ALTER VIEW seen RENAME TO looked_at; DROP TYPE pair; DROP FUNCTION one")
        assert connection.execute("SELECT id FROM kept ORDER BY 1").fetchall() == [(1,), (2,)]


def make_old(services: Services) -> None:
    """Stop it, and turn the cluster into what an older version made."""
    (server,) = (each for each in services.servers if isinstance(each, postgresql.PostgreSQL))
    services.stop()
    server.alone("failover", _AS_IT_WAS)


def test_an_upgrade_that_was_interrupted_begins_again(services: Services, data_dir: Path) -> None:
    services.start()
    make_old(services)
    (server,) = (each for each in services.servers if isinstance(each, postgresql.PostgreSQL))
    broken = sql.SQL("DO $$ BEGIN CREATE ROLE failover_hands_over SUPERUSER; RAISE 'the power went'; END $$").as_string()
    with pytest.raises(postgresql.EmbeddedError, match="the power went"):
        server.alone("failover", [broken])
    with psycopg.connect(services.start()["DATABASE_URL"]) as connection:
        assert connection.info.parameter_status("is_superuser") == "off"


@pytest.mark.parametrize(
    "command",
    ["CONFIG GET dir", "CONFIG SET dir /tmp", "MODULE LIST", "DEBUG SLEEP 0", "SHUTDOWN", "KEYS *", "FLUSHALL", "ACL LIST"],
)
def test_redis_takes_no_command_that_changes_or_ends_it(broker: str, command: str) -> None:
    answer = ask_redis(broker, command.encode())
    assert answer.startswith((b"-NOPERM", b"-ERR DEBUG command not allowed"))


@pytest.mark.parametrize("command", ["PUBLISH a b", "LPUSH a b", "SADD s 1", "ZADD z 1 a", "EVAL 'return 1' 0", "INFO server"])
def test_redis_carries_messages(broker: str, command: str) -> None:
    assert not ask_redis(broker, command.encode()).startswith(b"-")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = Services(tmp_path_factory.mktemp("broker") / "data", with_postgresql=False)
    yield made.start()["REDIS_URL"]
    made.stop()


@as_root
def test_only_the_consoles_group_passes_to_the_sockets(services: Services, data_dir: Path) -> None:
    services.start()
    run = socket_directory(data_dir)
    assert stat.S_IMODE(run.stat().st_mode) == 0o2710
    assert {stat.S_IMODE(each.stat().st_mode) for each in run.iterdir() if each.is_socket()} == {0o770}
    assert {each.stat().st_gid for each in run.iterdir()} == {os.getegid()}


@pytest.mark.parametrize(("version", "said"), [((6, 2, 14), "6.2.14"), ((7, 0, 15), "7.0.15"), ((7, 2), ""), ((9, 1, 2), "")])
def test_a_server_that_gets_no_fixes_is_told(version: tuple[int, ...], said: str) -> None:
    notice = Broker(Path("redis-server"), version).notice
    assert said in notice
    assert bool(notice) is bool(said)
