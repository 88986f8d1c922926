//! A commit log.
