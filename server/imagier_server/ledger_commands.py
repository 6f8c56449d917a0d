# SPDX-License-Identifier: Apache-2.0
"""`imagier keys` and `imagier credits`: they open the ledger itself, so they run where it can be reached.

Each imports what it needs when it is run, so that help and completion are quick.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY = 86_400

Ledger = Annotated[
    str,
    typer.Option(
        metavar="WHERE", envvar="IMAGIER_LEDGER", help="The ledger: a SQLite file, or postgresql://USER@HOST/NAME."
    ),
]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id: see `list`.")]

keys = typer.Typer(
    add_completion=False,
    help="Make, list, revoke and rotate API keys.",
    epilog="""Examples:

imagier keys create library --ledger ledger.db

imagier keys create library --scope tags --scope ocr --expires 2027-12-31 --allowance 1000""",
)
credits = typer.Typer(add_completion=False, help="Grant credits, and show what is left and what was used.")  # noqa: A001


@keys.command("create", epilog="Exit status: 0 made, 1 not.")
def create_key(  # noqa: PLR0913, PLR0917 - an argument for each option
    tenant: Tenant,
    ledger: Ledger,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="A task's name, 'tasks' for every task (the default), or 'admin'."),
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day (UTC) on which it is refused.")
    ] = None,
    allowance: Annotated[
        int, typer.Option(min=0, envvar="IMAGIER_ALLOWANCE", help="Free credits that come with the key.")
    ] = 0,
    pictures: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Pictures in a moving window, as in '500 per 4 hours'.")
    ] = None,
    in_flight: Annotated[int | None, typer.Option(min=1, help="Pictures in flight.")] = None,
    in_flight_bytes: Annotated[int | None, typer.Option(min=1, help="Bytes of picture files in flight.")] = None,
    callback_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Where results of tickets may be sent, as in https://photos.example.org. May be repeated.",
        ),
    ] = None,
    certificate: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="No key is made: a client certificate with this name stands for it."),
    ] = None,
) -> None:
    """Make a key, and print it: the only time that it is shown."""
    from imagier_server.call import TASKS, KeyLimits
    from imagier_server.ledger import keys as kept

    wish = kept.Wish(
        tenant,
        tuple(scope or [TASKS]),
        KeyLimits(pictures, in_flight, in_flight_bytes),
        int(expires.replace(tzinfo=UTC).timestamp()) if expires else None,
        certificate,
        allowance,
        tuple(callback_origin or ()),
    )
    with _writing(ledger) as connection:
        made, secret = kept.create(connection, wish)
    print(secret or made.identity.key_id)
    _say_unknown(scope or [])


@keys.command("list")
def list_keys(
    ledger: Ledger, tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant's.")] = None
) -> None:
    """List keys: id, tenant, state, scopes, limits. The keys themselves are nowhere."""
    from imagier_server.ledger import keys as kept

    with _reading(ledger) as connection:
        found = kept.listed(connection, tenant)
    now = time.time()
    for key in found:
        if key.revoked is not None:
            state = f"revoked {_day(key.revoked)}"
        elif key.expires is None:
            state = "valid"
        else:
            state = f"{'valid until' if key.valid(now) else 'expired'} {_moment(key.expires)}"
        who = key.identity
        limits = (
            ("pictures", who.limits.pictures),
            ("in_flight", who.limits.in_flight),
            ("in_flight_bytes", who.limits.in_flight_bytes),
            ("certificate", key.certificate),
            ("callbacks", " ".join(who.callbacks) or None),
        )
        more = "".join(f"  {name}: {value}" for name, value in limits if value is not None)
        print(f"{who.key_id}  {who.tenant:20}  {state:28}  {','.join(sorted(who.scopes))}{more}")


@keys.command("revoke", epilog="Exit status: 0 revoked, 1 not.")
def revoke_key(key_id: KeyId, ledger: Ledger) -> None:
    """Revoke a key. Every gateway refuses it within two seconds, also on streams that are open."""
    from imagier_server.ledger import keys as kept

    with _writing(ledger) as connection:
        kept.revoke(connection, key_id)


@keys.command("rotate", epilog="Exit status: 0 made, 1 not.")
def rotate_key(
    key_id: KeyId,
    ledger: Ledger,
    hours: Annotated[float, typer.Option(min=0, help="For how long the old key is still accepted.")] = 24,
) -> None:
    """Make a key with the same tenant, scopes, limits and expiry, and print it; the old one expires soon."""
    from imagier_server.ledger import keys as kept

    with _writing(ledger) as connection:
        _, secret = kept.rotate(connection, key_id, hours * 3600)
    print(secret)


@credits.command("grant", epilog="Exit status: 0 granted (or already, by this reference), 1 not.")
def grant_credits(
    tenant: Tenant,
    amount: Annotated[int, typer.Argument(metavar="CREDITS", help="Below 0 takes credits back (after --).")],
    ledger: Ledger,
    reference: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Your number for it: a second grant with it does nothing.")
    ] = None,
) -> None:
    """Give a tenant credits."""
    from imagier_server.ledger import accounts

    with _writing(ledger) as connection:
        done = accounts.grant(connection, tenant, amount, reference=reference)
        left = accounts.account(connection, tenant).balance
    print(f"{tenant}: {left} credits" + ("" if done else "; this reference was granted before"))


@credits.command("show")
def show_credits(
    ledger: Ledger, tenant: Annotated[str | None, typer.Argument(metavar="[TENANT]", help="Only this tenant.")] = None
) -> None:
    """Show balances, and what of them is reserved for work in flight."""
    from imagier_server.ledger import accounts

    with _reading(ledger) as connection:
        found = [accounts.account(connection, tenant)] if tenant else accounts.every(connection)
    for each in found:
        print(f"{each.tenant:20}  {each.balance:12}  reserved {each.reserved}{'  pays later' if each.postpaid else ''}")


@credits.command("usage")
def show_usage(
    tenant: Tenant,
    ledger: Ledger,
    days: Annotated[int, typer.Option(min=1, help="The last so many days, today included (UTC).")] = 31,
) -> None:
    """Show what a tenant used, by day and task."""
    from imagier_server.ledger import accounts

    with _reading(ledger) as connection:
        found = accounts.usage(connection, tenant, (int(time.time()) // _DAY - days + 1) * _DAY)
    for use in found:
        print(f"{_day(use.day)}  {use.task:12}  {use.pictures:9} pictures  {use.credits:9} credits")


@credits.command("postpaid", epilog="Exit status: 0 done, 1 not.")
def let_pay_later(
    tenant: Tenant, ledger: Ledger, off: Annotated[bool, typer.Option("--off", help="No longer.")] = False
) -> None:
    """Let a tenant pay later: its balance may fall below 0."""
    from imagier_server.ledger import accounts

    with _writing(ledger) as connection:
        accounts.set_postpaid(connection, tenant, not off)


@credits.command("verify", epilog="Exit status: 0 everything adds up, 1 not.")
def verify_credits(ledger: Ledger) -> None:
    """Check that every balance is the sum of its entries, and what is reserved that of its reservations."""
    from imagier_server.ledger import accounts

    with _reading(ledger) as connection:
        faults = accounts.faults(connection)
    for fault in faults:
        print(f"imagier credits: {fault}", file=sys.stderr)
    raise typer.Exit(bool(faults))


def _say_unknown(scopes: Sequence[str]) -> None:
    """A misspelt scope makes a key that opens nothing. No refusal: gateways may have tasks that are not installed here."""
    if not scopes:
        return
    from imagier_server.call import ADMIN, TASKS
    from imagier_server.tasks import registry

    unknown = {*scopes} - {ADMIN, TASKS, *(task.name for task in registry.tasks())}
    if unknown:
        print(f"imagier keys: no task here has the name of this scope: {', '.join(sorted(unknown))}", file=sys.stderr)


def _day(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


@contextmanager
def _writing(ledger: str) -> Iterator[Connection]:
    with _opened(ledger, lambda database: database.writing()) as connection:
        yield connection


@contextmanager
def _reading(ledger: str) -> Iterator[Connection]:
    with _opened(ledger, lambda database: database.reading()) as connection:
        yield connection


@contextmanager
def _opened(ledger: str, transaction: Callable[..., object]) -> Iterator[Connection]:
    """A transaction on the ledger, which is created or upgraded if need be. Exits with status 1 for a fault."""
    try:
        from imagier_server.ledger.database import Database, DatabaseError, LedgerError
    except ModuleNotFoundError as error:
        print(f"imagier: {error.name} is not installed; run: pip install 'imagier[ledger]'", file=sys.stderr)
        raise typer.Exit(1) from None
    try:
        database = Database(ledger)
        database.migrate()
        with transaction(database) as connection:  # type: ignore[attr-defined]
            yield connection
    except LedgerError as error:
        print(f"imagier: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except DatabaseError:
        print("imagier: the ledger does not answer, or another process keeps it busy: try again", file=sys.stderr)
        raise typer.Exit(1) from None
