//! The README of the workspace as a documentation test, which compiles and runs its example.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
