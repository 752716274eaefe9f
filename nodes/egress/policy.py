"""Who may be reached: checks go to private networks too, webhooks only to public ones; a list of networks widens both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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
    remedy: str = "; EGRESS_ALLOW can name networks that they may"
    names: Names = field(default_factory=Names, compare=False)

    @classmethod
    def for_checks(cls, allow: Iterable[Network], names: Names | None = None) -> Egress:
        """Public and private addresses; loopback only by the list.  `names` that outlive it keep what was resolved."""
        return cls("checks", frozenset({Standing.PUBLIC, Standing.PRIVATE}), tuple(allow), names=names or Names())

    @classmethod
    def for_webhooks(cls, allow: Iterable[Network]) -> Egress:
        """Public addresses only."""
        return cls("webhooks", frozenset({Standing.PUBLIC}), tuple(allow))

    @classmethod
    def for_switch(cls, allow: Iterable[Network]) -> Egress:
        """Public and private addresses, since the environment names the dead man's switch; private ones by plain http too."""
        permitted = frozenset({Standing.PUBLIC, Standing.PRIVATE})
        return cls("the dead man's switch", permitted, tuple(allow), frozenset({Standing.PRIVATE}))

    def after(self, address: Address) -> Egress:
        """The rules for where a node at this address may redirect to: one that is public, nowhere but to public addresses."""
        if standing(address) is not Standing.PUBLIC:
            return self
        return replace(self, purpose="a public node", permitted=frozenset({Standing.PUBLIC}), allow=(), remedy=" by a redirect")

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
                raise EgressRefusedError(f"{where} is a {kind} address, which {self.purpose} may not reach{self.remedy}")
        return found

    async def addresses(self, host: str, timeout: float, *, told: bool = False) -> tuple[Address, ...]:  # noqa: ASYNC109 - the resolver's
        """Permitted addresses of a host, which a node has `told` us or a person; literals skip the resolver.

        Raises what `permit` and `Names` raise.
        """
        known = literal(host)
        return self.permit(host, (known,) if known is not None else await self.names.addresses(host, timeout, told=told))

    def addresses_at_hand(self, host: str) -> tuple[Address, ...]:
        """`addresses` when nobody has to be asked for them, else none."""
        known = literal(host)
        return self.permit(host, (known,) if known is not None else self.names.kept(host))

    def addresses_now(self, host: str, timeout: float) -> tuple[Address, ...]:
        """`addresses` for code outside an event loop; blocks."""
        known = literal(host)
        return self.permit(host, (known,) if known is not None else self.names.addresses_now(host, timeout))
