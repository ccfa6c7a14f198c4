"""What a test counts of each expression, kept for comparisons."""
from __future__ import annotations

from mmrefseg.evaluation import ReferringIoUMetric
from mmrefseg.evaluation.expression_counts import ExpressionCounts


class KeptCounts(ReferringIoUMetric):
    """Keeps what was counted under the first protocol, on the main process, and names no figures."""

    counted: ExpressionCounts

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Keep the counts.

        Args:
            results: what :meth:`process` made of all samples.
        """
        self.counted = self._counted(results, self.protocols[0])
        return {}
