//! Configuration of the benches of single layers.

use std::time::Duration;

use criterion::Criterion;

/// Long enough to detect a change of a few percent, short enough for each bench to take two minutes.
pub(crate) fn configured() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args()
}
