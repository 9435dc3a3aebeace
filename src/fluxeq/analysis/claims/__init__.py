"""The claims of the paper, judged on the tables of a run."""

from fluxeq.analysis.claims.claim import CLAIMS, Claim, Verdict, judge, write_claims

__all__ = ["CLAIMS", "Claim", "Verdict", "judge", "write_claims"]
