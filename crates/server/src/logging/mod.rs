//! Logging: lines in the shape of etcd's, so that what reads etcd's logs reads these.
//!
//! The code logs through `tracing`; the layer here renders each event and writes it, whole, to every output. As JSON:
//!
//! ```text
//! {"level":"info","ts":"2026-11-23T12:36:09.831767Z","caller":"http/health.rs:40","msg":"...","field":"value"}
//! ```
//!
//! or for people, with `--log-format console`: the same parts separated by tabs, fields as one JSON
//! object at the end. Lines that others search for are constants in [`messages`].
//!
//! Logging is for what happens seldom. Lines are written by the thread that logs, under one lock for each output.

mod journal;
mod line;
pub mod messages;
mod rotation;
mod shown;
mod size;
mod start;
mod time;

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::{Log, LogFormat, LogOutput, Rotation};
use journal::Journal;
use line::Line;
use rotation::RotatedFile;

pub(crate) use shown::shown;
pub(crate) use size::humanized;
pub use start::{log_end, log_settings};

/// The target of an event that ends the process: its level is written as `fatal`.
/// `tracing::error!(target: logging::FATAL, ...)`.
pub const FATAL: &str = "fatal";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A log file cannot be opened.
    #[error("cannot open log output {path}: {source}", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is no journal.
    #[error("can't find journal ({0})")]
    Journal(#[source] io::Error),
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice,
}

/// Sets up logging for the process.
///
/// # Errors
/// When a file cannot be opened, or on a second call.
pub fn init(config: &Log) -> Result<(), LogError> {
    let outputs = config.outputs.iter().map(|output| Output::open(output, config));
    let layer = LogLayer { level: config.level, outputs: outputs.collect::<Result<_, _>>()? };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .map_err(|_| LogError::Twice)
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Json,
    Console,
    /// Console, levels in colour.
    Colour,
}

struct Output {
    shape: Shape,
    sink: Sink,
}

/// Where the lines of an output go.
enum Sink {
    Writer(Mutex<Box<dyn Write + Send>>),
    Journal(Journal),
}

impl Sink {
    fn of(writer: impl Write + Send + 'static) -> Sink {
        Sink::Writer(Mutex::new(Box::new(writer)))
    }
}

impl Output {
    fn open(output: &LogOutput, config: &Log) -> Result<Output, LogError> {
        let (sink, terminal) = match output {
            LogOutput::Stderr => (Sink::of(io::stderr()), io::stderr().is_terminal()),
            LogOutput::Stdout => (Sink::of(io::stdout()), io::stdout().is_terminal()),
            LogOutput::Journal => {
                let journal = Journal::connect(Path::new(journal::SOCKET)).map_err(LogError::Journal)?;
                (Sink::Journal(journal), false)
            }
            LogOutput::File(path) => (open_file(path, config.rotation)?, false),
        };
        Ok(Output { shape: Shape::of(config.format, terminal), sink })
    }

    /// Writes a line in one call. A log that cannot be written must not stop the member: the line is lost.
    fn write(&self, line: &Line) {
        let text = match self.shape {
            Shape::Json => line.json(),
            Shape::Console => line.console(line.level),
            Shape::Colour => line.console(&coloured(line.level)),
        };
        match &self.sink {
            Sink::Writer(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
            }
            Sink::Journal(journal) => journal.write(&text, line.level, line.directory()),
        }
    }
}

fn open_file(path: &Path, rotation: Option<Rotation>) -> Result<Sink, LogError> {
    let failed = |source| LogError::Open { path: path.to_owned(), source };
    match rotation {
        Some(rotation) => RotatedFile::open(path, rotation).map(Sink::of).map_err(failed),
        None => OpenOptions::new().append(true).create(true).open(path).map(Sink::of).map_err(failed),
    }
}

impl Shape {
    fn of(format: LogFormat, terminal: bool) -> Shape {
        match (format, terminal) {
            (LogFormat::Json, _) => Shape::Json,
            (LogFormat::Console, false) => Shape::Console,
            (LogFormat::Console, true) => Shape::Colour,
        }
    }
}

fn coloured(level: &str) -> String {
    let colour = match level {
        "debug" => 35,
        "info" => 34,
        "warn" => 33,
        _ => 31,
    };
    format!("\x1b[{colour}m{level}\x1b[0m")
}

struct LogLayer {
    level: Level,
    outputs: Vec<Output>,
}

/// Crates whose debug lines are ours. Of others only warnings and errors are worth a line.
const OURS: &[&str] = &["server", "engine", "quorate", "raft", "mvcc", "machine", "wal", FATAL];

/// Crates that warn of what a client sends, once for each frame: 13 bytes from a client were 190 in the log, and the
/// thread that wrote them served nobody meanwhile.
const ABOUT_CLIENTS: &[&str] = &["h2", "hyper"];

impl LogLayer {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let root = metadata.target().split("::").next().unwrap_or_default();
        let most = match root {
            root if OURS.contains(&root) => self.level,
            root if ABOUT_CLIENTS.contains(&root) => Level::ERROR,
            _ => Level::WARN,
        };
        *metadata.level() <= self.level.min(most)
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event, SystemTime::now());
        self.outputs.iter().for_each(|output| output.write(&line));
    }
}

#[cfg(test)]
mod tests;
