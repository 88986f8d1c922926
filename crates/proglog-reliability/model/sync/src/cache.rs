//! A cache with the interface of `quick_cache`: of several threads that ask for the same thing one loads it,
//! and the others wait.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Event, Listener};
use crate::point;

/// As `quick_cache`'s, but nothing is ever put out.
pub struct Cache<K, V>(Mutex<HashMap<K, Slot<V>>>);

#[derive(Clone)]
enum Slot<V> {
    Loaded(V),
    Loading(Arc<Loading<V>>),
}

/// Something that one thread loads.
struct Loading<V> {
    /// Once it is over; `Some(None)` if it failed.
    outcome: Mutex<Option<Option<V>>>,
    over: Event,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// An empty cache.
    #[must_use]
    pub fn new(_items_max: usize) -> Self {
        Self(Mutex::default())
    }

    /// The value of `key`, unless it is being loaded.
    pub fn get(&self, key: &K) -> Option<V> {
        point();
        match locked(&self.0).get(key) {
            Some(Slot::Loaded(value)) => Some(value.clone()),
            _ => None,
        }
    }

    /// Puts `value` in.
    pub fn insert(&self, key: K, value: V) {
        point();
        let old = locked(&self.0).insert(key, Slot::Loaded(value));
        // It may take locks to drop it.
        drop(old);
    }

    /// Takes out what is under `key`; what is being loaded is not put in any more.
    pub fn remove(&self, key: &K) -> Option<(K, V)> {
        point();
        let old = locked(&self.0).remove_entry(key);
        match old {
            Some((key, Slot::Loaded(value))) => Some((key, value)),
            _ => None,
        }
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
        loop {
            point();
            let own = Arc::new(Loading {
                outcome: Mutex::new(None),
                over: Event::new(),
            });
            let found = {
                let mut slots = locked(&self.0);
                let found = slots.get(key).cloned();
                if found.is_none() {
                    slots.insert(key.clone(), Slot::Loading(Arc::clone(&own)));
                }
                found
            };
            match found {
                Some(Slot::Loaded(value)) => return Ok(value),
                Some(Slot::Loading(loading)) => {
                    if let Some(value) = loading.wait() {
                        return Ok(value);
                    }
                }
                None => {
                    let loaded = load();
                    self.finish(key, &own, loaded.as_ref().ok());
                    return loaded;
                }
            }
        }
    }

    fn finish(&self, key: &K, own: &Arc<Loading<V>>, value: Option<&V>) {
        point();
        {
            let mut slots = locked(&self.0);
            if let Some(Slot::Loading(loading)) = slots.get(key)
                && Arc::ptr_eq(loading, own)
            {
                match value {
                    Some(value) => drop(slots.insert(key.clone(), Slot::Loaded(value.clone()))),
                    None => drop(slots.remove(key)),
                }
            }
        }
        *locked(&own.outcome) = Some(value.cloned());
        own.over.notify(usize::MAX);
    }
}

impl<V: Clone> Loading<V> {
    /// Waits until it is over; `None` if it failed.
    fn wait(&self) -> Option<V> {
        loop {
            let listener = self.over.listen();
            if let Some(outcome) = &*locked(&self.outcome) {
                return outcome.clone();
            }
            listener.wait();
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
