"""What a scrape of `/metrics` answered, by sample."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]  # name, and labels by name


def sample(name: str, labels: Mapping[str, str]) -> Sample:
    return name, tuple(sorted(labels.items()))


class Scrape:
    """One answer, by sample; no series is told twice."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        pairs = [(sample(each.name, each.labels), each.value) for family in self.families.values() for each in family.samples]
        self.values = dict(pairs)
        assert len(self.values) == len(pairs)

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of a sample; None when it is not told."""
        return self.values.get(sample(name, labels))

    def of(self, name: str) -> dict[str, float]:
        """The samples of a family with one label, by its value."""
        return {next(iter(each.labels.values())): each.value for each in self.families[name].samples}

    @property
    def counters(self) -> dict[Sample, float]:
        """What must never fall: samples of counters and histograms."""
        counting = [family for family in self.families.values() if family.type in {"counter", "histogram"}]
        return {sample(each.name, each.labels): each.value for family in counting for each in family.samples}
