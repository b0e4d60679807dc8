//! Output. An answer of the server is printed in one of five formats, which scripts read: byte for byte as etcdctl
//! prints them, whose formats are what Go's `fmt` and `encoding/json` make of its structs.
//!
//! A type of answer implements [`Answer`], one method for each format; [`Printer::print`] picks the method. What the
//! answers of a family of commands have in common is in the file of that family; what all have, in the file of the
//! format: [`simple`], [`fields`], [`json`], [`table`].

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use prost::Message;

use super::exit::{Exit, Failure};

/// The methods of [`Answer`] for what is printed as the message that came: JSON of its members, and its encoding. Takes
/// the message: `self`, or a field of it.
macro_rules! as_message {
    ($self:ident $(. $field:ident)?) => {
        fn json(&$self, out: &mut Vec<u8>, _hex: bool) -> Result<(), $crate::ctl::print::Unsupported> {
            $crate::ctl::print::json::object(out, &(*$self)$(.$field)?);
            Ok(())
        }

        fn protobuf(&$self) -> Result<Vec<u8>, $crate::ctl::print::Unsupported> {
            $crate::ctl::print::encoded(&(*$self)$(.$field)?)
        }
    };
}

pub mod alarm;
pub mod auth;
pub mod endpoint;
pub mod fields;
pub mod json;
pub mod key_value;
pub mod lease;

pub mod member;
pub mod outcome;
pub mod simple;
pub mod size;
pub mod table;
#[cfg(test)]
mod testing;
pub mod txn;
pub mod watch;

pub use table::Table;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people and simple scripts.
    Simple,
    /// A line for each field of the answer.
    Fields,
    /// The answer as Go's `encoding/json` prints it.
    Json,
    /// The answer as it was on the wire.
    Protobuf,
    /// A table with borders, for some answers only.
    Table,
}

impl Format {
    fn named(name: &str) -> Option<Format> {
        match name {
            "simple" => Some(Format::Simple),
            "fields" => Some(Format::Fields),
            "json" => Some(Format::Json),
            "protobuf" => Some(Format::Protobuf),
            "table" => Some(Format::Table),
            _ => None,
        }
    }

    /// Returns its name, as in `--write-out`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Simple => "simple",
            Format::Fields => "fields",
            Format::Json => "json",
            Format::Protobuf => "protobuf",
            Format::Table => "table",
        }
    }
}

/// Why an answer is not printed in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The format is not for this answer.
    Format,
    /// The answer is a struct of etcd's Go client with this name, not a message.
    NoMessage(&'static str),
}

/// An answer that can be printed. Formats that a type does not implement are refused.
pub trait Answer {
    /// Prints it for people.
    fn simple(&self, page: &mut Page);

    /// Prints it as fields.
    ///
    /// # Errors
    /// When it is not printed so.
    fn fields(&self, _page: &mut Page) -> Result<(), Unsupported> {
        Err(Unsupported::Format)
    }

    /// Prints it as JSON, without the newline at the end.
    ///
    /// # Errors
    /// When it is not printed so.
    fn json(&self, out: &mut Vec<u8>, hex: bool) -> Result<(), Unsupported>;

    /// Returns its encoding.
    ///
    /// # Errors
    /// When it is not printed so.
    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        Err(Unsupported::Format)
    }

    /// Returns it as a table.
    ///
    /// # Errors
    /// When it is not printed so.
    fn table(&self) -> Result<Table, Unsupported> {
        Err(Unsupported::Format)
    }
}

/// What is being printed, line by line, and how.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What was printed so far.
    pub bytes: Vec<u8>,
    /// Whether byte strings and ids are hexadecimal.
    pub hex: bool,
    /// Whether keys are left out.
    pub value_only: bool,
    /// Whether it is a terminal with colours that shows it.
    pub terminal: bool,
}

impl Page {
    /// Prints a line of any bytes.
    pub fn raw_line(&mut self, text: &[u8]) {
        self.plain(text);
        self.bytes.push(b'\n');
    }

    /// Prints a line.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.bytes, "{text}");
    }
}

/// Prints answers in the format of the command line.
#[derive(Clone, Debug)]
pub struct Printer {
    /// The format.
    pub format: Format,
    /// Whether byte strings and ids are hexadecimal.
    pub hex: bool,
    /// Whether keys are left out of the format for people.
    pub value_only: bool,
    /// Whether a terminal may be shown colours.
    pub colours: bool,
}

impl Printer {
    /// Returns a printer for the format of this name. There are no colours: etcdctl has none.
    ///
    /// # Errors
    /// When there is no such format.
    pub fn new(format: &str, hex: bool) -> Result<Printer, Failure> {
        let Some(known) = Format::named(format) else {
            let text = format!(
                "unsupported output format ({format:?} is none of simple, fields, json, protobuf, table)"
            );
            return Err(Failure::new(Exit::BadFeature, text));
        };
        Ok(Printer { format: known, hex, value_only: false, colours: false })
    }

    /// Prints an answer to standard output.
    ///
    /// # Errors
    /// When the answer is not printed in this format, or standard output takes nothing.
    pub fn print(&self, answer: &dyn Answer) -> Result<(), Failure> {
        write(&self.render(answer)?)
    }

    /// Returns what [`Printer::print`] prints.
    ///
    /// # Errors
    /// When the answer is not printed in this format.
    pub fn render(&self, answer: &dyn Answer) -> Result<Vec<u8>, Failure> {
        let mut page = Page { hex: self.hex, ..Page::default() };
        let printed = match self.format {
            Format::Simple => {
                page.value_only = self.value_only;
                page.terminal = self.colours && is_colourful();
                answer.simple(&mut page);
                Ok(())
            }
            Format::Fields => answer.fields(&mut page),
            Format::Json => answer.json(&mut page.bytes, self.hex).map(|()| page.bytes.push(b'\n')),
            Format::Protobuf => answer.protobuf().map(|bytes| page.bytes = bytes),
            Format::Table => answer.table().map(|table| page.line(table)),
        };
        match printed {
            Ok(()) => Ok(page.bytes),
            Err(why) => Err(self.refuse(why)),
        }
    }

    fn refuse(&self, why: Unsupported) -> Failure {
        let text = match why {
            Unsupported::Format => format!("{} not supported as output format", self.format.name()),
            Unsupported::NoMessage(name) => format!("marshal unsupported for type *clientv3.{name}"),
        };
        Failure::new(Exit::BadFeature, text)
    }
}

/// Writes bytes to standard output, at once.
///
/// # Errors
/// When standard output takes nothing.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => error.into(),
        _ => Failure::error(format!("cannot write to standard output: {error}")),
    })
}

/// Writes a line to standard output, at once.
///
/// # Errors
/// When standard output takes nothing.
pub fn write_line(text: impl Display) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a line to standard error, which nobody needs to read.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Returns whether standard output is a terminal that may be shown colours (<https://no-color.org>).
pub fn is_colourful() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Returns the encoding of a message: what most answers print as protobuf.
///
/// # Errors
/// None: the type is that of [`Answer::protobuf`].
pub fn encoded(message: &impl Message) -> Result<Vec<u8>, Unsupported> {
    Ok(message.encode_to_vec())
}
