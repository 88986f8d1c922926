//! A small log of three segments, and the ways in which its files are damaged.

pub mod cuts;
pub mod files;
pub mod fixture;
pub mod flips;
pub mod tails;
