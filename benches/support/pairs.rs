//! Paired measurements, for machines whose speed varies.

use std::time::{Duration, Instant};

use crate::stats::{median, spread};

/// The side to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// proglog.
    Ours,
    /// The limit or the peer.
    Other,
}

/// The amount to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The most pairs that count. With 0, the first pair, which otherwise does not count, is the only one.
    pub pairs: usize,
    /// The fewest pairs that count, whatever time they take.
    pub pairs_min: usize,
    /// The time after which no pair begins, once there are enough.
    pub time: Duration,
}

impl Effort {
    /// A single pair, as a smoke test.
    pub const ONCE: Self = Self {
        pairs: 0,
        pairs_min: 0,
        time: Duration::ZERO,
    };
}

/// The results of a series of pairs, of which at least one counts.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Our figures.
    pub ours: Vec<f64>,
    /// The other side's figures, each taken just before or after ours.
    pub other: Vec<f64>,
}

impl Comparison {
    /// Ours over the other's, pair by pair.
    #[must_use]
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.other);
        pairs.map(|(ours, other)| ours / other).collect()
    }

    /// The median of [`Comparison::ratios`]. It need not be the ratio of the medians.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(&self.ratios())
    }

    /// The [`spread`] of [`Comparison::ratios`].
    #[must_use]
    pub fn spread(&self) -> f64 {
        spread(&self.ratios())
    }
}

/// Measures in pairs, in the order ours, other, other, ours, and so on, so that slow drift affects both
/// sides alike. The first pair does not count: caches are cold and memory is not mapped yet.
///
/// # Errors
///
/// Returns the first error of `measure`.
pub fn pairs<E>(
    effort: Effort,
    mut measure: impl FnMut(Side) -> Result<f64, E>,
) -> Result<Comparison, E> {
    let begun = Instant::now();
    let mut comparison = Comparison {
        ours: Vec::new(),
        other: Vec::new(),
    };
    for pair in 0..=effort.pairs {
        // The first pair does not count.
        if pair > effort.pairs_min && begun.elapsed() > effort.time {
            break;
        }
        let (ours, other);
        if pair % 2 == 0 {
            ours = measure(Side::Ours)?;
            other = measure(Side::Other)?;
        } else {
            other = measure(Side::Other)?;
            ours = measure(Side::Ours)?;
        }
        if pair > 0 || effort.pairs == 0 {
            comparison.ours.push(ours);
            comparison.other.push(other);
        }
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::Side::{Other, Ours};
    use super::*;

    #[test]
    fn the_order_is_ours_other_other_ours_and_the_first_pair_does_not_count() {
        let effort = Effort {
            pairs: 2,
            pairs_min: 2,
            time: Duration::ZERO,
        };
        let mut order = Vec::new();
        let mut figures = 1_u32..;
        let comparison = pairs(effort, |side| {
            order.push(side);
            Ok::<_, Infallible>(f64::from(figures.next().unwrap()))
        })
        .unwrap();
        assert_eq!(order, [Ours, Other, Other, Ours, Ours, Other]);
        assert_eq!(comparison.ours, [4.0, 5.0]);
        assert_eq!(comparison.other, [3.0, 6.0]);
    }

    #[test]
    fn one_pair_is_enough_to_show_that_it_works() {
        let comparison = pairs(Effort::ONCE, |_| Ok::<_, Infallible>(2.0)).unwrap();
        assert_eq!(comparison.ratios(), [1.0]);
    }
}
