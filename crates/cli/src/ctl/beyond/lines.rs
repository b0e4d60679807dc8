//! What the commands that etcdctl lacks have in common: arguments, plain lines as output, and colours on a terminal.

use bytes::Bytes;

use crate::ctl::Invocation;
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::print::{self, Format, is_colourful};

/// Makes a client for a command that prints lines and nothing else.
///
/// # Errors
/// When another output format is asked for, or there is no client.
pub async fn open(invocation: &Invocation) -> Result<Session, Failure> {
    let session = invocation.open().await?;
    match session.printer.format {
        Format::Simple => Ok(session),
        other => {
            Err(Failure::new(Exit::BadFeature, format!("{} not supported as output format", other.name())))
        }
    }
}

/// Returns the only argument, or `None` where it may be left out.
///
/// # Errors
/// When there are more.
pub fn at_most_one(invocation: &Invocation) -> Result<Option<Bytes>, Failure> {
    let mut arguments = invocation.byte_arguments()?.into_iter();
    let (first, second) = (arguments.next(), arguments.next());
    if second.is_some() {
        return Err(Failure::arguments(format!("{} takes one argument", invocation.name())));
    }
    Ok(first)
}

/// Returns the only argument.
///
/// # Errors
/// When it is missing, or there are more: `what` says what it is.
pub fn exactly_one(invocation: &Invocation, what: &str) -> Result<Bytes, Failure> {
    at_most_one(invocation)?.ok_or_else(|| Failure::arguments(format!("{} needs {what}", invocation.name())))
}

/// Writes lines to standard output.
///
/// # Errors
/// When standard output takes nothing.
pub fn write(lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    print::write((lines.join("\n") + "\n").as_bytes())
}

/// A colour of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// What was removed, or does not work.
    Red,
    /// What was added, or is well.
    Green,
    /// What was changed, or may not last.
    Yellow,
    /// What matters less.
    Dim,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Dim => "2",
        }
    }
}

/// Writes lines to standard output, each in the colour that `colour` gives it, if a terminal shows them.
///
/// # Errors
/// When standard output takes nothing.
pub fn write_coloured(lines: &[String], colour: impl Fn(&str) -> Option<Colour>) -> Result<(), Failure> {
    if !is_colourful() {
        return write(lines);
    }
    let paint = |line: &String| match colour(line) {
        Some(colour) => format!("\x1b[{}m{line}\x1b[0m", colour.code()),
        None => line.clone(),
    };
    write(&lines.iter().map(paint).collect::<Vec<_>>())
}

/// Returns the colour of a line of a difference.
pub fn of_difference(line: &str) -> Option<Colour> {
    match line.trim_start().as_bytes().first()? {
        b'+' => Some(Colour::Green),
        b'-' => Some(Colour::Red),
        b'~' => Some(Colour::Yellow),
        _ => None,
    }
}
