"""The sums behind every error figure: added over elements, images and batches; one logarithm at the end."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorSums:
    """Sums over element pairs (reference, simulated); two of them add up to the sums of the union.

    Attributes:
        count: pairs in which both values are finite; the sums run over these.
        reference_sq_sum: sum of reference squared.
        error_sq_sum: sum of (reference - simulated) squared.
        cross_sum: sum of reference times simulated.
        error_sum: sum of (simulated - reference).
        max_abs_error: largest |reference - simulated|.
        reference_nonfinite_count, simulated_nonfinite_count: NaN and Inf, counted and left out of the sums.
    """

    count: int = 0
    reference_sq_sum: float = 0.0
    error_sq_sum: float = 0.0
    cross_sum: float = 0.0
    error_sum: float = 0.0
    max_abs_error: float = 0.0
    reference_nonfinite_count: int = 0
    simulated_nonfinite_count: int = 0

    def __add__(self, other: "ErrorSums") -> "ErrorSums":
        return ErrorSums(
            self.count + other.count,
            self.reference_sq_sum + other.reference_sq_sum,
            self.error_sq_sum + other.error_sq_sum,
            self.cross_sum + other.cross_sum,
            self.error_sum + other.error_sum,
            max(self.max_abs_error, other.max_abs_error),
            self.reference_nonfinite_count + other.reference_nonfinite_count,
            self.simulated_nonfinite_count + other.simulated_nonfinite_count,
        )

    @property
    def signal_power(self) -> float:
        """Mean of reference squared; NaN when nothing was finite."""
        return self.reference_sq_sum / self.count if self.count else math.nan

    @property
    def mse(self) -> float:
        """Mean of (reference - simulated) squared, the noise power; NaN when nothing was finite."""
        return self.error_sq_sum / self.count if self.count else math.nan

    @property
    def rmse(self) -> float:
        return math.sqrt(self.mse)

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, higher is better (arXiv 1803.08607, eq. 5).

        Equal signals give +inf, a zero reference with noise gives -inf, no finite pair gives NaN.
        """
        if not self.count:
            return math.nan
        if self.error_sq_sum == 0.0:
            return math.inf
        if self.reference_sq_sum == 0.0:
            return -math.inf
        return 10.0 * (math.log10(self.reference_sq_sum) - math.log10(self.error_sq_sum))

    @property
    def cosine(self) -> float:
        """Cosine between reference and simulated, in [-1, 1]; NaN when either is all zero."""
        simulated_sq_sum = self.error_sq_sum - self.reference_sq_sum + 2.0 * self.cross_sum
        norm = math.sqrt(self.reference_sq_sum) * math.sqrt(max(simulated_sq_sum, 0.0))
        return max(-1.0, min(1.0, self.cross_sum / norm)) if norm > 0.0 else math.nan

    @property
    def mean_shift(self) -> float:
        """Mean of (simulated - reference): what bias correction could take away."""
        return self.error_sum / self.count if self.count else math.nan

    @property
    def bias_fraction(self) -> float:
        """Share of the noise power that is a constant offset, 0 to 1; 0 without noise."""
        return min(1.0, self.mean_shift**2 / self.mse) if self.error_sq_sum > 0.0 else 0.0
