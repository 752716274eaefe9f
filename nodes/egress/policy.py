"""Who may be reached: checks go to private networks too, webhooks only to public ones; a list of networks widens both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nodes.egress.names import Names, literal
from nodes.egress.table import Address, Network, Standing, carried, standing


class EgressRefusedError(Exception):
    """The rules of this console do not let it go there; EGRESS_ALLOW widens them."""


@dataclass(frozen=True)
class Egress:
    """One policy, with a resolver of its own."""

    purpose: str
    permitted: frozenset[Standing]
    allow: tuple[Network, ...] = ()
    plain: frozenset[Standing] = frozenset()  # may be called without TLS, beside what the list names
    names: Names = field(default_factory=Names, compare=False)

    @classmethod
    def for_checks(cls, allow: Iterable[Network]) -> Egress:
        """Public and private addresses; loopback only by the list."""
        return cls("checks", frozenset({Standing.PUBLIC, Standing.PRIVATE}), tuple(allow))

    @classmethod
    def for_webhooks(cls, allow: Iterable[Network]) -> Egress:
        """Public addresses only."""
        return cls("webhooks", frozenset({Standing.PUBLIC}), tuple(allow))

    @classmethod
    def for_switch(cls, allow: Iterable[Network]) -> Egress:
        """Public and private addresses, since the environment names the dead man's switch; private ones by plain http too."""
        permitted = frozenset({Standing.PUBLIC, Standing.PRIVATE})
        return cls("the dead man's switch", permitted, tuple(allow), frozenset({Standing.PRIVATE}))

    def permits_plain(self, address: Address) -> bool:
        """Whether a request may go there without TLS."""
        return self.widened(address) or standing(address) in self.plain

    def widened(self, address: Address) -> bool:
        """Whether the list of networks names this address; metadata and link-local stay shut for checks and webhooks alike."""
        if standing(address) in (Standing.METADATA, Standing.LINK_LOCAL, Standing.UNSPECIFIED, Standing.MULTICAST):
            return False
        return any(
            each in network for each in (address, *carried(address)) for network in self.allow if each.version == network.version
        )

    def permit(self, host: str, addresses: Iterable[Address]) -> tuple[Address, ...]:
        """The addresses, all of them allowed; raises `EgressRefusedError` when one is not, since a name may turn either way."""
        found = tuple(addresses)
        for address in found:
            if not self.widened(address) and (kind := standing(address)) not in self.permitted:
                where = host if str(address) == host else f"{host} ({address})"
                raise EgressRefusedError(
                    f"{where} is a {kind} address, which {self.purpose} may not reach; EGRESS_ALLOW can name networks that they may"
                )
        return found

    async def addresses(self, host: str, timeout: float) -> tuple[Address, ...]:  # noqa: ASYNC109 - the probe's budget
        """Permitted addresses of a host; literals skip the resolver.  Raises what `permit` and `Names` raise."""
        known = literal(host)
        return self.permit(host, (known,) if known is not None else await self.names.addresses(host, timeout))

    def addresses_now(self, host: str, timeout: float) -> tuple[Address, ...]:
        """`addresses` for code outside an event loop; blocks."""
        known = literal(host)
        return self.permit(host, (known,) if known is not None else self.names.addresses_now(host, timeout))
