//! The two proxies of the binary: `gateway start` and `grpc-proxy start`.
//!
//! * `tcp` passes connections on and knows nothing of what is said on them;
//! * `calls` serves the API in front of a cluster.
//!
//! Their flags are read as etcd reads them (`flags`): by the library `pflag`, whose rules are not those of the flags of a
//! member, and without `ETCD_*` variables. Neither of them has state on a disk, and neither knows the [`engine`].

mod calls;
mod discovery;
mod flags;
mod limits;
mod tcp;

use std::env;
use std::process::ExitCode;

use crate::config::{Log, LogFormat, LogOutput};
use crate::logging::{self, FATAL};
use crate::notify;
use crate::signals::{Signals, Starting, StopSignal, end_process};

use flags::{Command, Flags, Parsed};

/// Returns whether the first word of a command line is that of a proxy.
pub fn is_asked_for(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|word| COMMANDS.iter().any(|command| command.group == word))
}

const COMMANDS: [&Command; 2] = [&tcp::COMMAND, &calls::COMMAND];

/// Runs the proxy that the command line names until it is stopped. Returns the exit code of the process.
pub fn run(arguments: &[String]) -> ExitCode {
    let Some(command) =
        COMMANDS.iter().find(|command| arguments.first().is_some_and(|word| command.group == word))
    else {
        return ExitCode::FAILURE;
    };
    let words = &arguments[1..];
    if flags::sub_command(command.flags, words) != Some("start") {
        print!("{}", command.help());
        return ExitCode::SUCCESS;
    }
    match flags::parse(command.flags, words) {
        Ok(Parsed::Help) => {
            print!("{}", command.start_help());
            ExitCode::SUCCESS
        }
        Ok(Parsed::Run(flags)) => start(command, &flags, arguments),
        Err(error) => {
            eprintln!("Error: {error}\n{}", command.start_help());
            ExitCode::FAILURE
        }
    }
}

/// Starts a proxy, and waits for the signal that ends it.
fn start(command: &Command, flags: &Flags, arguments: &[String]) -> ExitCode {
    let level =
        if flags.has("debug") && flags.bool("debug") { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let log = Log { level, format: LogFormat::Json, outputs: vec![LogOutput::Stderr], rotation: None };
    if let Err(error) = logging::init(&log) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    crate::raise_descriptor_limit();
    let starting = match Starting::begin() {
        Ok(starting) => starting,
        Err(error) => return fail(&error.to_string()),
    };
    let running = match (command.start)(flags, arguments) {
        Ok(running) => running,
        Err(StartError::Said(text)) => {
            println!("{text}");
            return ExitCode::FAILURE;
        }
        Err(StartError::Refused(text)) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
        Err(StartError::Failed(text)) => return fail(&text),
    };
    let signals = match starting.watch() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.to_string()),
    };
    tell_service_manager();
    end(running, &signals)
}

/// Waits for a signal, and ends the proxy and the process.
fn end(running: Running, signals: &Signals) -> ExitCode {
    let Some(signal) = signals.wait() else { return ExitCode::FAILURE };
    tracing::info!(%signal, "{}", logging::messages::SIGNAL);
    running(signal);
    end_process(signal)
}

/// What ends a proxy that runs.
type Running = Box<dyn FnOnce(StopSignal)>;

/// Why a proxy does not start.
enum StartError {
    /// A text for whoever typed the command, on standard output, as etcd has it.
    Said(String),
    /// The same on standard error.
    Refused(String),
    /// An operating fault.
    Failed(String),
}

fn fail(text: &str) -> ExitCode {
    tracing::error!(target: FATAL, error = text, "the proxy cannot be started");
    ExitCode::FAILURE
}

fn tell_service_manager() {
    match notify::ready(env::var("NOTIFY_SOCKET").ok().as_deref()) {
        Ok(true) => tracing::info!("{}", logging::messages::NOTIFIED),
        Ok(false) => {}
        Err(error) => tracing::warn!(error = %error, "failed to notify init daemon"),
    }
}
