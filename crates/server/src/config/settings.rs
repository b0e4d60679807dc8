//! The settings: for each flag of the table one value, and where it came from.
//!
//! Reading them by name is total: every flag has a default, and a name that is not in the table, or read as the wrong kind, is
//! a bug in this crate (the default configuration reads every name once, in a test).

use std::collections::BTreeMap;

use super::go::Nanos;
use super::table::{self, Flag};
use super::url::Url;
use super::value::Value;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A flag.
    CommandLine,
    /// An `ETCD_*` variable.
    Environment,
    /// The configuration file.
    File,
}

/// One value and its source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) flag: &'static Flag,
    pub(super) value: Value,
    pub(super) source: Source,
}

impl PartialEq for Flag {
    fn eq(&self, other: &Flag) -> bool {
        self.name == other.name
    }
}

/// All settings, by flag name.
#[derive(Clone, Debug)]
pub struct Settings {
    by_name: BTreeMap<&'static str, Setting>,
}

impl Default for Settings {
    fn default() -> Settings {
        let defaults = table::flags().map(|flag| (flag.name, Setting::default_of(flag)));
        Settings { by_name: defaults.collect() }
    }
}

impl Setting {
    fn default_of(flag: &'static Flag) -> Setting {
        Setting { flag, value: flag.default_value(), source: Source::Default }
    }

    /// Whether this asks for anything but the default.
    pub(super) fn is_changed(&self) -> bool {
        self.source != Source::Default && self.value != self.flag.default_value()
    }

    /// How to call the setting in an error, so that the reader finds what to change.
    pub(super) fn origin(&self) -> String {
        match self.source {
            Source::Default | Source::CommandLine => format!("--{}", self.flag.name),
            Source::Environment => self.flag.variable(),
            Source::File => self.flag.file_key().unwrap_or(self.flag.name).to_owned(),
        }
    }
}

impl Flag {
    /// The default as a value.
    pub(super) fn default_value(&self) -> Value {
        if self.default.is_empty() {
            self.kind.empty()
        } else {
            self.kind.parse(self.default).expect("the table's defaults are valid values of their kinds")
        }
    }
}

impl Settings {
    /// Sets a flag. URLs without a URL are the default, as in etcd.
    pub(super) fn set(&mut self, flag: &'static Flag, value: Value, source: Source) {
        let value = match value {
            Value::Urls(urls) if urls.is_empty() => flag.default_value(),
            value => value,
        };
        self.by_name.insert(flag.name, Setting { flag, value, source });
    }

    /// Where the value of this flag came from.
    pub fn source(&self, name: &str) -> Source {
        self.get(name).source
    }

    /// Whether anybody set this flag, to whatever value.
    pub fn is_set(&self, name: &str) -> bool {
        self.source(name) != Source::Default
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        table::flags().map(|flag| self.get(flag.name))
    }

    pub(super) fn get(&self, name: &str) -> &Setting {
        self.by_name.get(name).unwrap_or_else(|| panic!("no flag --{name} in the table"))
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        match self.get(name).value {
            Value::Bool(value) => value,
            ref other => wrong_kind(name, other),
        }
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        match self.get(name).value {
            Value::Int(value) => value,
            ref other => wrong_kind(name, other),
        }
    }

    pub(super) fn uint(&self, name: &str) -> u64 {
        match self.get(name).value {
            Value::Uint(value) => value,
            ref other => wrong_kind(name, other),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Nanos {
        match self.get(name).value {
            Value::Duration(value) => value,
            ref other => wrong_kind(name, other),
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match &self.get(name).value {
            Value::Text(value) => value,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn urls(&self, name: &str) -> &[Url] {
        match &self.get(name).value {
            Value::Urls(value) => value,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        match &self.get(name).value {
            Value::List(value) => value,
            other => wrong_kind(name, other),
        }
    }
}

#[cold]
fn wrong_kind(name: &str, value: &Value) -> ! {
    panic!("--{name} is read as another kind than the table's: {value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value_and_no_name_is_taken_twice() {
        let mut names = std::collections::BTreeSet::new();
        for flag in table::flags() {
            let _ = flag.default_value();
            assert!(names.insert(flag.name), "--{} stands in the table twice", flag.name);
        }
        assert!(names.len() > 120);
    }

    #[test]
    fn file_keys_are_unique() {
        let mut keys = std::collections::BTreeSet::new();
        for key in table::flags().filter_map(Flag::file_key) {
            assert!(keys.insert(key), "{key} stands in the table twice");
        }
    }
}
