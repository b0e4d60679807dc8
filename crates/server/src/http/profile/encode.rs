//! The format of profiles: `profile.proto` of github.com/google/pprof, as far as it is used here, in gzip.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{Frames, Symbol};
use prost::Message;

/// Nanoseconds in a second.
const NANOS: i64 = 1_000_000_000;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    /// What all texts are numbers of; the first is empty.
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// From the innermost outwards.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// Several where functions were inlined, the innermost first.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// When samples were taken, and how many in a second.
pub(super) struct Taken {
    pub(super) began: SystemTime,
    pub(super) lasted: Duration,
    pub(super) frequency: i32,
}

/// Returns the profile of what was sampled, in gzip.
pub(super) fn profile(samples: &HashMap<Frames, isize>, taken: &Taken) -> Vec<u8> {
    let message = message_of(samples, taken).encode_to_vec();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    // A vector takes every byte.
    let written = packed.write_all(&message).and_then(|()| packed.finish());
    written.unwrap_or_default()
}

fn message_of(samples: &HashMap<Frames, isize>, taken: &Taken) -> Profile {
    let mut tables = Tables::default();
    let kind = |tables: &mut Tables, r#type: &str, unit: &str| ValueType {
        r#type: tables.text(r#type),
        unit: tables.text(unit),
    };
    let sample_type = vec![kind(&mut tables, "samples", "count"), kind(&mut tables, "cpu", "nanoseconds")];
    let period_type = Some(sample_type[1]);
    let thread = tables.text("thread");
    let period = NANOS / i64::from(taken.frequency.max(1));
    let sample = samples.iter().map(|(frames, count)| {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let location_id = frames.frames.iter().map(|frame| tables.location(frame)).collect();
        let label = vec![Label { key: thread, str: tables.text(&frames.thread_name) }];
        Sample { location_id, value: vec![count, count.saturating_mul(period)], label }
    });
    let sample = sample.collect();
    let began = taken.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    Profile {
        sample_type,
        sample,
        location: tables.locations,
        function: tables.functions,
        string_table: tables.texts.all,
        time_nanos: i64::try_from(began.as_nanos()).unwrap_or(0),
        duration_nanos: i64::try_from(taken.lasted.as_nanos()).unwrap_or(0),
        period_type,
        period,
    }
}

/// Values and their numbers, each once.
struct Numbered<T> {
    all: Vec<T>,
    numbers: HashMap<T, usize>,
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, value: T) -> usize {
        *self.numbers.entry(value).or_insert_with_key(|value| {
            self.all.push(value.clone());
            self.all.len() - 1
        })
    }
}

/// What a profile names by numbers.
struct Tables {
    texts: Numbered<String>,
    functions: Vec<Function>,
    locations: Vec<Location>,
    /// Numbers of the functions, by name and file.
    function_ids: HashMap<(String, String), u64>,
    /// Numbers of the locations, by the lines that are in them.
    location_ids: HashMap<Vec<(u64, i64)>, u64>,
}

impl Default for Tables {
    fn default() -> Self {
        let mut texts = Numbered { all: Vec::new(), numbers: HashMap::new() };
        texts.number(String::new());
        Self {
            texts,
            functions: Vec::new(),
            locations: Vec::new(),
            function_ids: HashMap::new(),
            location_ids: HashMap::new(),
        }
    }
}

impl Tables {
    fn text(&mut self, text: &str) -> i64 {
        self.texts.number(text.to_owned()) as i64
    }

    /// Returns the number of a function; they begin at 1.
    fn function(&mut self, symbol: &Symbol) -> u64 {
        let key = (symbol.sys_name().into_owned(), symbol.filename().into_owned());
        if let Some(&id) = self.function_ids.get(&key) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        let function = Function {
            id,
            name: self.text(&symbol.name()),
            system_name: self.text(&key.0),
            filename: self.text(&key.1),
        };
        self.functions.push(function);
        self.function_ids.insert(key, id);
        id
    }

    /// Returns the number of a place in the program, with all functions that are inlined there; they begin at 1.
    fn location(&mut self, frame: &[Symbol]) -> u64 {
        let line = |symbol: &Symbol| (self.function(symbol), i64::from(symbol.lineno()));
        let lines: Vec<(u64, i64)> = frame.iter().map(line).collect();
        if let Some(&id) = self.location_ids.get(&lines) {
            return id;
        }
        let id = self.locations.len() as u64 + 1;
        let line = lines.iter().map(|&(function_id, line)| Line { function_id, line }).collect();
        self.locations.push(Location { id, line });
        self.location_ids.insert(lines, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn symbol(name: &str, lineno: u32) -> Symbol {
        Symbol {
            name: Some(name.as_bytes().to_vec()),
            addr: None,
            lineno: Some(lineno),
            filename: Some("a.rs".into()),
        }
    }

    fn frames(of: &[&str]) -> Frames {
        Frames {
            frames: of.iter().map(|name| vec![symbol(name, 7)]).collect(),
            thread_name: "apply".to_owned(),
            thread_id: 1,
            sample_timestamp: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_text_function_and_place_is_there_once() {
        let data = HashMap::from([(frames(&["inner", "outer"]), 3), (frames(&["outer"]), 2)]);
        let taken = Taken {
            began: UNIX_EPOCH + Duration::from_secs(5),
            lasted: Duration::from_secs(1),
            frequency: 100,
        };
        let packed = profile(&data, &taken);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        let profile = Profile::decode(&plain[..]).unwrap();
        assert_eq!((profile.location.len(), profile.function.len()), (2, 2));
        assert_eq!(profile.string_table[0], "");
        let text = |number: i64| &profile.string_table[number as usize][..];
        let name = |id: u64| text(profile.function[id as usize - 1].name);
        let mut samples: Vec<(Vec<&str>, i64, i64, &str)> = profile
            .sample
            .iter()
            .map(|sample| {
                let line = |id: &u64| name(profile.location[*id as usize - 1].line[0].function_id);
                let names = sample.location_id.iter().map(line).collect();
                (names, sample.value[0], sample.value[1], text(sample.label[0].str))
            })
            .collect();
        samples.sort();
        let expected =
            [(vec!["inner", "outer"], 3, 30_000_000, "apply"), (vec!["outer"], 2, 20_000_000, "apply")];
        assert_eq!(samples, expected);
        assert_eq!(
            (profile.time_nanos, profile.duration_nanos, profile.period),
            (5 * NANOS, NANOS, 10_000_000)
        );
        let units: Vec<_> =
            profile.sample_type.iter().map(|kind| (text(kind.r#type), text(kind.unit))).collect();
        assert_eq!(units, [("samples", "count"), ("cpu", "nanoseconds")]);
    }
}
