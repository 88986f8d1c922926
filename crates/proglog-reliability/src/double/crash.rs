//! What the log is stopped and failed by, and what it must show ever after.

#[path = "../../../proglog-log/tests/crash/background.rs"]
pub(crate) mod background;
#[path = "../../../proglog-log/tests/crash/explore.rs"]
pub(crate) mod explore;
#[path = "../../../proglog-log/tests/crash/faults.rs"]
pub(crate) mod faults;
#[path = "../../../proglog-log/tests/crash/history.rs"]
pub(crate) mod history;
#[path = "../../../proglog-log/tests/crash/keeping.rs"]
pub(crate) mod keeping;
#[path = "../../../proglog-log/tests/crash/workload.rs"]
pub(crate) mod workload;
#[path = "../../../proglog-log/tests/crash/workloads.rs"]
pub(crate) mod workloads;
