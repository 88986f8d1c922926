//! A cache with the interface of `quick_cache`: of several threads that ask for the same thing one loads it,
//! and the others wait.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, PoisonError};

use shuttle_parking_lot::Mutex;

use crate::point;

/// As `quick_cache`'s, but nothing is ever put out.
pub struct Cache<K, V>(std::sync::Mutex<HashMap<K, Slot<V>>>);

/// A value, once it is loaded. A thread that loads it holds the lock.
type Slot<V> = Arc<Mutex<Option<V>>>;

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// An empty cache.
    #[must_use]
    pub fn new(_items_max: usize) -> Self {
        Self(std::sync::Mutex::default())
    }

    /// The slots. No thread is stopped while it holds their lock.
    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<K, Slot<V>>> {
        point();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of `key`, unless it is being loaded.
    pub fn get(&self, key: &K) -> Option<V> {
        let slot = self.slots().get(key).cloned()?;
        slot.try_lock()?.clone()
    }

    /// Puts `value` in.
    pub fn insert(&self, key: K, value: V) {
        let slot = Arc::new(Mutex::new(Some(value)));
        let old = self.slots().insert(key, slot);
        // It may take locks to drop it.
        drop(old);
    }

    /// Takes out what is under `key`; what is being loaded is not put in any more.
    pub fn remove(&self, key: &K) -> Option<(K, V)> {
        let (key, slot) = self.slots().remove_entry(key)?;
        let value = slot.try_lock()?.take()?;
        Some((key, value))
    }

    /// Takes out everything; what is being loaded is not put in any more.
    pub fn clear(&self) {
        let old = std::mem::take(&mut *self.slots());
        // It may take locks to drop it.
        drop(old);
    }

    /// The value of `key`, or the one that `load` returns.
    ///
    /// # Errors
    ///
    /// The error of `load`.
    pub fn get_or_insert_with<E>(
        &self,
        key: &K,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let slot = Arc::clone(self.slots().entry(key.clone()).or_default());
        let mut value = slot.lock();
        match &*value {
            Some(value) => Ok(value.clone()),
            None => Ok(value.insert(load()?).clone()),
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
