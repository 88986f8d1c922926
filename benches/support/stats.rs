//! Medians and spreads.

/// Returns the value below which the fraction `at` of `values` lies, interpolated between neighbours.
///
/// # Panics
///
/// If there are no values, or one is not a number.
#[must_use]
pub fn quantile(values: &[f64], at: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    assert!(!sorted.is_empty() && !sorted.iter().any(|value| value.is_nan()));
    #[expect(clippy::cast_precision_loss, reason = "there are few values")]
    let place = at.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of `sorted`"
    )]
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// Returns the median.
///
/// # Panics
///
/// As [`quantile`].
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the width of the middle half of `values` as a fraction of their median: 0.1 means that half of
/// them are within about 5 % of it. For three values or fewer it means little.
///
/// # Panics
///
/// As [`quantile`].
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "exact in binary")]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "exact in binary")]
    fn a_spread_is_the_middle_half_over_the_median() {
        assert_eq!(spread(&[2.0, 2.0, 2.0]), 0.0);
        assert_eq!(spread(&[1.0, 2.0, 4.0, 6.0, 100.0]), 1.0);
    }
}
