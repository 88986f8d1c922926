//! What panics leave behind: their messages, and locks that were held.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The messages of panics that nobody here has caught, and the threads that they were on.
static PANICS: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// Keeps panics from now on, in place of telling them: whoever catches one tells of it.
pub(crate) fn keep() {
    set_hook(Box::new(|panic| {
        lock(&PANICS).push((thread::current().id(), panic.to_string()));
    }));
}

/// What `work` returns, or the panic that it ends with.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let mut panics = lock(&PANICS);
        let this = thread::current().id();
        let at = panics.iter().rposition(|(thread, _)| *thread == this);
        let message = at.map_or_else(String::new, |at| panics.remove(at).1);
        format!("a panic: {message}")
    })
}

/// Takes the panics that ended a thread that nobody asks for, or that were caught elsewhere.
pub(crate) fn missed() -> Vec<String> {
    let panics = std::mem::take(&mut *lock(&PANICS));
    panics.into_iter().map(|(_, message)| message).collect()
}

/// Locks `mutex`, whatever became of who had it before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
