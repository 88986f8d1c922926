//! The systems, one per file.

mod proglog;

#[cfg(feature = "commitlog")]
mod commitlog;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "walrus")]
mod walrus;

use crate::system::{Facts, Result, System};

/// Work with any system.
pub(crate) trait With {
    type Output;

    fn with<S: System>(self) -> Self::Output;
}

/// A type-erased system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) facts: Facts,
}

macro_rules! systems {
    ($($(#[$attribute:meta])* $system:ty,)*) => {
        /// All systems that are built in: ours, then the peers.
        pub(crate) fn all() -> Vec<Known> {
            vec![$($(#[$attribute])* Known {
                name: <$system>::NAME,
                facts: <$system>::FACTS,
            },)*]
        }

        /// Does `work` with the system of this name.
        pub(crate) fn with<W: With>(name: &str, work: W) -> Result<W::Output> {
            match name {
                $($(#[$attribute])* <$system>::NAME => Ok(work.with::<$system>()),)*
                _ => anyhow::bail!("there is no system {name:?}"),
            }
        }
    };
}

systems! {
    proglog::Proglog,
    proglog::ProglogStore,
    #[cfg(feature = "commitlog")]
    commitlog::Commitlog,
    #[cfg(feature = "okaywal")]
    okaywal::Okaywal,
    #[cfg(feature = "raft-engine")]
    raft_engine::RaftEngine,
    #[cfg(feature = "walrus")]
    walrus::Walrus,
    #[cfg(feature = "fjall")]
    fjall::Fjall,
    #[cfg(feature = "redb")]
    redb::Redb,
}
