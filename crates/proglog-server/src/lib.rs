//! HTTP over a commit log.
