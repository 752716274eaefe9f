"""The histories of the reports' tests, and a pool whose shares the real ledger moves."""

from tests.reports.conftest import history

__all__ = ["history"]
