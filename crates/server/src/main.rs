//! The binary `quorate`: settings, logging, the member, signals. Its sub-commands are the proxies.
//!
//! Exit codes are etcd's: 2 for a command line that cannot be read, 1 for settings or a data directory that cannot be
//! served, death by the signal after a clean stop.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use server::config::{Config, ConfigError, Discovery, Invocation, Url, help, url};
use server::logging::{self, FATAL, messages};
use server::notify;
use server::signals::{Signals, Starting, StopSignal, end_process};
use server::{BootstrapError, Ending, Running, StartError};

/// Less CPU for the many small allocations of a call than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let environment: Vec<(String, String)> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    if server::proxy::is_asked_for(&arguments) {
        return server::proxy::run(&arguments);
    }
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
    logging::log_settings(config, arguments);
    config.notices.iter().for_each(server::config::Notice::log);
    server::raise_descriptor_limit();
    if config.locks_memory
        && let Err(error) = server::lock_memory()
    {
        return fail(&error);
    }
    let starting = match Starting::begin() {
        Ok(starting) => starting,
        Err(error) => return fail(&error),
    };
    let mut member = match server::start(config) {
        Ok(member) => member,
        Err(error) => return fail_to_start(config, &error),
    };
    // Not before the member has started: a recovery can be interrupted.
    let signals = match starting.watch() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    loop {
        let signal = match wait(config, &mut member, &signals) {
            Ok(signal) => signal,
            Err(error) => return fail(&error),
        };
        if let Some(signal) = signal {
            tracing::info!(%signal, "{}", messages::SIGNAL);
        } else if member.ending() == Some(Ending::StartsOver) {
            member = match member.start_over(config) {
                Ok(member) => member,
                Err(error) => return fail(&error),
            };
            continue;
        }
        // A member that never served and was removed is a failed start, as in etcd.
        let served = member.is_ready();
        logging::log_end(config, messages::CLOSING);
        member.stop();
        logging::log_end(config, messages::CLOSED);
        return match signal {
            Some(signal) => end_process(signal),
            None if served => ExitCode::SUCCESS,
            None => ExitCode::FAILURE,
        };
    }
}

/// Waits until the member is asked to stop, or ends by itself.
fn wait(config: &Config, member: &mut Running, signals: &Signals) -> Result<Option<StopSignal>, StartError> {
    // A member may wait for others for a long time, and can be stopped meanwhile.
    let (secure, plain): (Vec<Url>, Vec<Url>) =
        config.listen.client.iter().cloned().partition(Url::is_secure);
    let metrics = config.listen.metrics.clone();
    member.when_ready(move || announce(&secure, &plain, &metrics))?;
    member.when_it_ends(signals.end_of_wait())?;
    Ok(signals.wait())
}

/// Says that clients are served, to the log and to whoever started the process.
fn announce(secure: &[Url], plain: &[Url], metrics: &[Url]) {
    tracing::info!("{}", messages::READY);
    for (urls, message) in [(secure, messages::SERVING_SECURELY), (plain, messages::SERVING_INSECURELY)] {
        if !urls.is_empty() {
            tracing::info!(address = url::join(urls), "{message}");
        }
    }
    for url in metrics {
        tracing::info!(address = url.as_str(), "{}", messages::SERVING_METRICS);
    }
    match notify::ready(env::var("NOTIFY_SOCKET").ok().as_deref()) {
        Ok(true) => tracing::info!("{}", messages::NOTIFIED),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to notify init daemon")
        }
    }
}

/// Says why the member does not start. A discovery service that did not let it is named, as in etcd.
fn fail_to_start(config: &Config, error: &StartError) -> ExitCode {
    let service = config.cluster.discovery.as_ref().and_then(Discovery::service);
    let (StartError::Bootstrap(BootstrapError::Registry(_)), Some(service)) = (error, service) else {
        return fail(error);
    };
    tracing::warn!(
        "discovery-token" = service.token,
        "discovery-endpoints" = ?service.endpoints,
        error = error as &dyn std::error::Error,
        "{}",
        messages::DISCOVERY_REFUSED
    );
    tracing::warn!("{}", messages::DISCOVERY_ADVICE);
    ExitCode::FAILURE
}

/// Says why the member does not start: one line in the log.
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    tracing::error!(target: FATAL, error, "{}", messages::START_FAILED);
    ExitCode::FAILURE
}
