//! Compiles and runs the example in the README of the workspace, as a documentation test.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
