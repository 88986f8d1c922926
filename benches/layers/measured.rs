//! How the benches of the layers are measured.

use std::time::Duration;

use criterion::Criterion;

/// Long enough to tell a change of some percent, short enough that each bench is done in two minutes.
pub(crate) fn configured() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args()
}
