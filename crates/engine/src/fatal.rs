//! The end of a process that can no longer trust its disk or itself.

/// Logs why and ends the process at once (W5): what memory holds and what the disk holds may differ, and only a start
/// from the disk finds out. Nothing that was not durable has been acknowledged, so nothing is lost by this.
pub fn stop_process(what: &str, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(error = %error, "{what}; the process stops, as memory and disk may differ");
    eprintln!("quorate: {what}: {error}");
    std::process::exit(1);
}
