//! Admission of appends: a bound on the memory of all that are under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::{Error, Result};

/// The bytes that are drawn at a time.
const STEP: usize = 64 << 10;

/// The longest wait for bytes.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The bytes that appends under way may take. What receives an append draws from them as the append arrives, and gives
/// them back once the append is answered. Clones share them.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use proglog_broker::Admission;
///
/// let admission = Admission::new(1 << 20);
/// let mut permit = admission.permit();
/// permit.grow_to(100_000).await?; // before these bytes are received
/// assert_eq!(admission.in_use(), 128 << 10);
/// drop(permit);
/// assert_eq!(admission.in_use(), 0);
/// # Ok::<(), proglog_broker::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Admission {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// The bytes that one append has drawn. Dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the bytes back"]
pub struct AppendPermit {
    admission: Admission,
    drawn: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// Returns one with so many bytes: at least 64 KiB, and at most 4 GiB.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(STEP, u32::MAX as usize);
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Returns the permit of an append that has received nothing yet.
    pub fn permit(&self) -> AppendPermit {
        AppendPermit {
            admission: self.clone(),
            drawn: None,
        }
    }

    /// Returns how many bytes are drawn.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.bytes_max - self.bytes.available_permits()
    }
}

impl AppendPermit {
    /// Draws what is missing to `bytes`, in steps of 64 KiB. Waits for at most a second for others to give theirs back.
    /// An append larger than all bytes draws all.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if there are not enough. What was drawn before is kept.
    pub async fn grow_to(&mut self, bytes: usize) -> Result<()> {
        let Admission {
            bytes: left,
            bytes_max,
        } = &self.admission;
        let drawn = self
            .drawn
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(STEP).saturating_mul(STEP).min(*bytes_max);
        let missing = wanted.saturating_sub(drawn);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let more = timeout(WAIT_MAX, Arc::clone(left).acquire_many_owned(missing)).await;
        let Ok(Ok(more)) = more else {
            let bytes_max = *bytes_max;
            return Err(Error::Overloaded { bytes_max });
        };
        match &mut self.drawn {
            Some(drawn) => drawn.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn appends_wait_a_second_for_room_and_are_refused_then() {
        let admission = Admission::new(4 * STEP);
        let (mut first, mut second) = (admission.permit(), admission.permit());
        first.grow_to(1).await.unwrap();
        assert_eq!(admission.in_use(), STEP);
        first.grow_to(STEP).await.unwrap();
        assert_eq!(admission.in_use(), STEP, "it had these already");
        first.grow_to(STEP + 1).await.unwrap();
        second.grow_to(2 * STEP).await.unwrap();
        let before = Instant::now();
        let refused = second.grow_to(2 * STEP + 1).await.unwrap_err();
        assert!(matches!(refused, Error::Overloaded { bytes_max } if bytes_max == 4 * STEP));
        assert_eq!(before.elapsed(), WAIT_MAX);
        assert_eq!(admission.in_use(), 4 * STEP, "what it had stays");
        let (refused, ()) = tokio::join!(second.grow_to(3 * STEP), async {
            tokio::time::sleep(WAIT_MAX / 2).await;
            drop(first);
        });
        refused.unwrap();
        assert_eq!(admission.in_use(), 3 * STEP);
        drop(second);
        assert_eq!(admission.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_append_larger_than_everything_waits_for_everything() {
        let admission = Admission::new(2 * STEP);
        let mut permit = admission.permit();
        permit.grow_to(usize::MAX).await.unwrap();
        assert_eq!(admission.in_use(), 2 * STEP);
        permit.grow_to(3 * STEP).await.unwrap();
        assert!(admission.permit().grow_to(1).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_cancelled_draws_nothing() {
        let admission = Admission::new(2 * STEP);
        let (mut first, mut second) = (admission.permit(), admission.permit());
        first.grow_to(STEP).await.unwrap();
        let waiting = timeout(WAIT_MAX / 2, second.grow_to(2 * STEP)).await;
        assert!(waiting.is_err());
        assert_eq!(admission.in_use(), STEP);
    }
}
