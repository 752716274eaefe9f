"""`manage.py checks_doc`: the fields, verdicts and messages of checks as the paper that people read."""
# ruff: noqa: E501 - the lines of a paper

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import NOT_PROVIDED

from nodes.forms.checks import CheckForm
from nodes.forms.effects import USED_BY
from nodes.models import Check, CheckKind
from nodes.probes import answer, body, redirects, wire

_HEAD = f"""# Checks

Printed by `manage.py checks_doc --write` from the form and from the sentences below; `make check` fails when this page is old.

A node has one check, or one composite that counts the others. **Test this check**, on the node's page and in its form before it is saved, asks now and shows the request, the answer,
when each thing had happened, and each expectation with what was met. It counts for nothing. What the last failing check of a failure met is kept with it: *evidence*, in the
list of failures on the node's page. Both are for operators. Values of headers and cookies are hidden there, also where they come back in an answer; of a body that is sent only the size is told.

## Verdicts

| verdict | when |
|---|---|
| pass | everything that is expected holds |
| warn | the status is one of *warn status* (429, unless you say otherwise), the certificate ends soon, or the answer was slower than the policy's *degraded latency* |
| fail | the node refuses, resets, does not answer in time, shows a certificate that is not good, answers what is no HTTP, or something that is expected does not hold |
| unknown | we could not ask: no way out, no descriptor, a resolver that does not answer, an address that the rules forbid, a row that cannot be read. It moves no counter |

The verdict of a check is the worst of its expectations, its message the first that does not hold.

## What is an answer

What curl, nginx, HAProxy and Python's client agree on: bare line feeds, the same length said twice, a length beside chunks, odd and folded header lines, spaces around the size of a chunk,
bytes behind the end. `tests/probes/odd_answers.py` is the table; where curl decides as we do, the row is compared with it. With *strict* the answer must be HTTP to the letter, and end.

**When a check ends.** Where nothing is expected of the body, the head decides. An answer that goes on without having said its length, as a stream does, gets {answer.GRACE:g} s more to show that it breaks off;
one that said its length must come to it. Where a text or an expression is expected, the check ends when it is found; what must not be there, values of JSON, and an expression with `$`, a word boundary or a look-ahead need the whole body.
Latency is the time until the check was decided.

**What is read.** {body.MOST_BODY // 1024} KiB of the body, decoded from `gzip` and `deflate` (`Accept-Encoding: identity` is sent unless you set another), in the charset that the answer says or begins with, else as
UTF-8. An expression may take {body.EXPRESSION_TIME * 1000:g} ms. The other limits are in [what an answer may cost](operations.md#what-an-answer-may-cost).

**Addresses.** All addresses of a name are tried within the check's time, up to {wire.MOST_TRIED}: the next one when the one before failed, or after {wire.NEXT_AFTER * 1000:g} ms without an answer. When one answers, the check goes on
with it (with many addresses or a short time-out the next one is tried sooner); when none does, the message names each and how it failed.

**Redirects.** Up to {redirects.MOST_REDIRECTS} are followed where *follow redirects* is ticked. 301 and 302 turn a POST into a GET, 303 everything but HEAD, 307 and 308 keep method and body. Headers and the client certificate
go to the same host and port alone, and a redirect to the *server name* stays at the node's address; cookies live within one check. From https it never goes to http, and from a public address never to one that is not.

**Retry-After.** A node that answers a failure or warning with 429 or 503 and asks to be left alone is asked again no sooner, but never later than after the plain interval; the message says how long it asked for.

**Certificates.** *certificate days* warns also without verification. A private authority is trusted by one check (*certificate authorities*) or by all (`CHECK_CA_FILE`), beside the system's. A client certificate is shown
where a node asks for one; its key is sealed like headers, and asked for again when address, port, https, server name or verification change.

## Fields

| field | of checks by | default | what it does |
|---|---|---|---|
"""

# Pattern of a message (… stands for what varies) -> verdict, what it means.
MESSAGES = {
    "answered …, expected …": ("fail", "The status is in neither set. *asks to be left alone for … s* is its Retry-After."),
    "answered …: the node asks us to slow down…": ("warn", "429 among the statuses that warn."),
    "answered …, which is a warning…": ("warn", "Another status that warns."),
    "answered … without the text “…”": ("fail", "*body contains* is not in what was read."),
    "answered … with the text “…”, which must not be there": ("fail", "*body excludes* is in it."),
    "answered … with nothing that matches “…”": ("fail", "*body matches* matches nothing of it."),
    "answered …, but … is …, expected …": ("fail", "The value at *JSON path*; *nothing there* and *no JSON* say that there is none."),
    "answered …, but its body is encoded as …, which is not read here": ("fail", "Neither gzip nor deflate; ask for `identity`."),
    "answered …, but its body is not compressed as its head says": ("fail", "Something between answers for the node."),
    "answered …, but its compressed body breaks off": ("fail", "Something has to be told of the whole of it."),
    "answered …, but the expression took longer than … ms on its body": ("fail", "Write it so that it tries less."),
    "answered …, but without the text “…” within … s": ("fail", "The answer came and went on, the text did not come."),
    "answered …, but the answer did not end within … s": ("fail", "It said a length and did not come to it, or has to end by *strict*."),
    "no answer within … s…": ("fail", "Nothing came; in brackets, what became of each address."),
    "none of its … addresses answers: …": ("fail", "Each address, and how it failed."),
    "slow: … ms, expected … ms": ("warn", "It took longer than *degraded latency*."),
    "the certificate …": ("fail", "It has expired, is not valid yet, is for another name, is self-signed, or is not trusted; in brackets, why."),
    "the certificate of the authority “…” above it …": ("fail", "The same of one that the node sends along."),
    "the certificate ends in … days": ("warn", "*certificate days*; *ended … days ago* where nothing is verified."),
    "TLS failed: …": ("fail", "The handshake broke off; what OpenSSL says."),
    "the answer is no HTTP…": ("fail", "What it begins with; *but TLS: tick https* where it is that."),
    "the answer is broken HTTP: …": ("fail", "The parser's reason."),
    "the answer ended half way": ("fail", "The connection was closed before its end."),
    "the connection was closed without an answer": ("fail", "It took the connection, and said nothing."),
    "the headers of the answer are too long": ("fail", "A limit, as are the next five."),
    "the answer has more than … header fields": ("fail", ""),
    "the answer is longer than …": ("fail", ""),
    "the answer comes in more than … pieces": ("fail", ""),
    "the answer takes longer than … ms to take apart": ("fail", ""),
    "more than … interim answers (100, 103) came instead of the answer": ("fail", ""),
    "redirected …": ("fail", "To an address that is none, too long or forbidden, from https to http, or too often."),
    "the name … has no address": ("fail", "The resolver knows it, without an address."),
    "the name … does not exist": ("fail", "The resolver says so."),
    "… is no host name": ("fail", "It cannot be one."),
    "connection refused": ("fail", "Also *connection reset*, *connection aborted*, *connection broken off*, *host unreachable*, *host down*, *timed out*."),
    "the node has never called": ("fail", "A push check."),
    "the node last called … s ago, … s are allowed": ("fail", "A push check."),
    "we have not listened long enough to miss a call": ("unknown", "Also *no web process of ours …*: a heartbeat may have been lost on our side."),
    "our …": ("unknown", "Our network, resolver or check; the node is not to blame."),
    "not asked: …": ("unknown", "The rules forbid the address; `EGRESS_ALLOW` can name networks."),
    "cannot be checked: …": ("unknown", "What is wrong with its row, and what to do."),
}  # fmt: skip  # a row each
_MESSAGES_HEAD = """
## Messages

| message | verdict | |
|---|---|---|
"""


class Command(BaseCommand):
    """Prints docs/checks.md, writes it, or fails when the file says something else."""

    help = "Prints docs/checks.md from the form of checks and the sentences of verdicts."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do with the page."""
        parser.add_argument("--write", action="store_true", help="write docs/checks.md")
        parser.add_argument("--check", action="store_true", help="fail when docs/checks.md is old")

    def handle(self, *_args: Any, write: bool, check: bool, **_options: Any) -> None:
        """Print, write or compare; a page that is old is a CommandError."""
        path = Path(settings.BASE_DIR) / "docs/checks.md"
        if write:
            path.write_text(page())
        elif not check:
            self.stdout.write(page())
        elif not path.exists() or path.read_text() != page():
            raise CommandError("docs/checks.md is old: run manage.py checks_doc --write")


def page() -> str:
    """The whole page."""
    fields = "".join(_field(name) for name in CheckForm.base_fields)
    messages = "".join(f"| {pattern} | {verdict} | {what} |\n" for pattern, (verdict, what) in MESSAGES.items())
    return _HEAD + fields + _MESSAGES_HEAD + messages


def _field(name: str) -> str:
    field = CheckForm.base_fields[name]
    kinds, _ = USED_BY.get(name, (frozenset(CheckKind), ""))
    by = "all" if len(kinds) == len(CheckKind) else ", ".join(kind.value for kind in CheckKind if kind in kinds)
    columns = {column.name: column.default for column in Check._meta.concrete_fields}
    default = columns.get(name, NOT_PROVIDED)
    shown = "" if default in (NOT_PROVIDED, "", None) else {True: "ticked", False: ""}.get(default, f"`{default}`")
    label = str(field.label or name.replace("_", " "))
    return f"| {label[:1].lower() + label[1:] if label[1:2].islower() else label} | {by} | {shown} | {str(field.help_text).replace('|', '')} |\n"
