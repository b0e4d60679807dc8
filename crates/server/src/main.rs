//! The binary `quorate`: settings, logging, the member, signals.
//!
//! Exit codes are etcd's: 2 for a command line that cannot be read, 1 for settings or a data directory that cannot be
//! served, death by the signal after a clean stop.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use server::config::{Config, ConfigError, Invocation, help};
use server::logging::{self, FATAL, messages};

fn main() -> ExitCode {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let environment: Vec<(String, String)> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    match Config::load(&arguments, &environment) {
        Ok(Invocation::Print(text)) => {
            // Whoever reads this may stop reading (`quorate --help | head`).
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Serve(config)) => serve(&config, &arguments),
        Err(error) => refuse(&error),
    }
}

/// Says what is wrong with the settings: in plain words for a command line that cannot be read, else as a log line.
fn refuse(error: &ConfigError) -> ExitCode {
    match error {
        ConfigError::Usage(error) => eprint!("{error}\n{}", help::USAGE),
        error => {
            // The settings for logging are among what could not be read.
            if logging::init(&Config::default().log).is_ok() {
                log_refusal(error);
            }
        }
    }
    ExitCode::from(error.exit_code())
}

fn log_refusal(error: &ConfigError) {
    match error {
        // Searched for by its message.
        ConfigError::Conflict { variable } => {
            tracing::error!(target: FATAL, { "environment-variable" = variable }, "{error}");
        }
        error => tracing::error!(error = error as &dyn std::error::Error, "{}", messages::BAD_FLAGS),
    }
}

fn serve(config: &Config, arguments: &[String]) -> ExitCode {
    if let Err(error) = logging::init(&config.log) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    tracing::info!(?arguments, "quorate-version" = server::version::QUORATE, "{}", messages::STARTING);
    config.notices.iter().for_each(server::config::Notice::log);
    // The member is put together by `server::start`, which is not there yet.
    tracing::error!(target: FATAL, error = "this build cannot serve yet", "{}", messages::START_FAILED);
    ExitCode::FAILURE
}
