//! The program of the library.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    proglog_reliability::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!(
        "the reliability program needs Linux: it damages what is below a log by its means"
    )
}
