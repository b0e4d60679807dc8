//! What `snapshot status` and `hashkv` print, in etcdutl's formats.

use std::io::Write;

use serde::Serialize;

use super::arguments::Globals;
use super::failure::Failure;
use crate::ctl::print::Table;

/// A row of numbers.
pub(super) struct Shown<'a, J> {
    /// Titles of the columns of a table.
    pub(super) titles: &'a [&'a str],
    /// The same in words, for each column.
    pub(super) cells: Vec<String>,
    /// Names and values of `-w fields`.
    pub(super) fields: Vec<(&'a str, String)>,
    /// What `-w json` shows.
    pub(super) json: J,
}

impl<J: Serialize> Shown<'_, J> {
    /// Prints it in the format that the command line asks for.
    pub(super) fn print(self, globals: &Globals, out: &mut dyn Write) -> Result<(), Failure> {
        match globals.write_out() {
            "simple" => writeln!(out, "{}", self.cells.join(", "))?,
            "json" => {
                let json = serde_json::to_string(&self.json);
                writeln!(out, "{}", json.map_err(|error| Failure::error(error.to_string()))?)?;
            }
            "fields" => {
                for (name, value) in self.fields {
                    writeln!(out, "\"{name}\" : {value}")?;
                }
            }
            "table" => writeln!(out, "{}", Table::new(self.titles, vec![self.cells]))?,
            "protobuf" => return Err(Failure::unsupported("protobuf not supported as output format")),
            _ => return Err(Failure::unsupported("unsupported output format")),
        }
        Ok(())
    }
}
