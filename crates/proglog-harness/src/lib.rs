//! Workloads, faults and damage for logs on the simulated disk, and checks of what a log shows afterwards. The tests of
//! the log and the reliability program share them.

pub mod crash;
pub mod damage;
