//! The messages of panics, and locks that survive them.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The messages of panics that are not caught yet, with their threads.
static PANICS: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// Keeps the messages of panics from now on, instead of printing them.
pub(crate) fn keep() {
    set_hook(Box::new(|panic| {
        lock(&PANICS).push((thread::current().id(), panic.to_string()));
    }));
}

/// Runs `work`; returns its result, or the message of its panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let mut panics = lock(&PANICS);
        let this = thread::current().id();
        let at = panics.iter().rposition(|(thread, _)| *thread == this);
        let message = at.map_or_else(String::new, |at| panics.remove(at).1);
        format!("a panic: {message}")
    })
}

/// Takes the messages of panics on background threads, and of those caught elsewhere.
pub(crate) fn missed() -> Vec<String> {
    let panics = std::mem::take(&mut *lock(&PANICS));
    panics.into_iter().map(|(_, message)| message).collect()
}

/// Locks `mutex`, even if a thread panicked with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
