//! `dist/quorate.yaml`, the configuration file that packages bring: made from the table of flags, so that it names every key that
//! the file takes, with what it is for and its default; and a member takes it, as it is and with every line of it in force.
//!
//! After a change of the table: `QUORATE_UPDATE_DOCS=1 cargo test -p quorate --test sample_config`.

use std::fmt::Write;
use std::fs;

use server::config::table::{self, Flag, Standing};
use server::config::value::Kind;
use testkit::{Program, Server};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/quorate.yaml");

const HEAD: &str = "\
# The configuration of a Quorate member, for --config-file. The format is that of etcd's own file.
#
# Every setting is here. One that begins with `#` has the value that is shown: its default. To change it, take away the `#`; one
# that belongs to a section needs the section's line as well. Durations are whole numbers of nanoseconds. With this file, flags and
# environment variables are not looked at.
#
# A cluster of three needs, on each member: name, listen-peer-urls, listen-client-urls, advertise-client-urls,
# initial-advertise-peer-urls, initial-cluster and initial-cluster-token.
";

/// The settings that the file has in force, as packages need them.
const IN_FORCE: [(&str, &str); 1] = [("data-dir", "/var/lib/quorate")];

/// The columns of a comment.
const WIDTH: usize = 110;

/// A key of the file: a setting, or a section with keys below it.
enum Key {
    Setting(String, &'static Flag),
    Section(String, Vec<Key>),
}

/// Adds a flag below its sections, which stand where their first flag stands.
fn insert(keys: &mut Vec<Key>, path: &[&str], flag: &'static Flag) {
    let [section, rest @ ..] = path else { return };
    if rest.is_empty() {
        return keys.push(Key::Setting((*section).to_owned(), flag));
    }
    let found = keys.iter_mut().find_map(|key| match key {
        Key::Section(name, below) if name == section => Some(below),
        Key::Section(..) | Key::Setting(..) => None,
    });
    match found {
        Some(below) => insert(below, rest, flag),
        None => {
            let mut below = Vec::new();
            insert(&mut below, rest, flag);
            keys.push(Key::Section((*section).to_owned(), below));
        }
    }
}

fn sample() -> String {
    let mut page = HEAD.to_owned();
    for group in table::GROUPS {
        let mut keys = Vec::new();
        for flag in group.flags {
            if let Some(path) = flag.file_key() {
                insert(&mut keys, &path.split('.').collect::<Vec<_>>(), flag);
            }
        }
        if !keys.is_empty() {
            let _ = write!(page, "\n# ---- {} ----\n", group.title);
            keys.iter().for_each(|key| write_key(&mut page, key, 0));
        }
    }
    page
}

/// Writes a key that is indented by so many columns. A line of prose is `#`, one space and text; a setting that is not in force is
/// `#` and what the line would be.
fn write_key(page: &mut String, key: &Key, indent: usize) {
    match key {
        Key::Section(name, below) => {
            let _ = write!(page, "\n#{:indent$}{name}:\n", "");
            below.iter().for_each(|key| write_key(page, key, indent + 2));
        }
        Key::Setting(name, flag) => {
            let _ = writeln!(page);
            comment(flag).iter().for_each(|line| {
                let _ = writeln!(page, "# {line}");
            });
            let _ = match IN_FORCE.iter().find(|(in_force, _)| *in_force == flag.name) {
                Some((_, value)) => writeln!(page, "{name}: {value}"),
                None => writeln!(page, "#{:indent$}{name}: {}", "", default_of(flag)),
            };
        }
    }
}

/// What a setting is for, in lines.
fn comment(flag: &Flag) -> Vec<String> {
    let mut text = flag.help.to_owned();
    if flag.kind == Kind::Duration && flag.default != "0" {
        let _ = write!(text, " In nanoseconds: {} is shown.", flag.default);
    }
    match flag.standing {
        Standing::NoEffect(why) => {
            let _ = write!(text, " Without effect: {why}.");
        }
        Standing::Served | Standing::Ignored => {}
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() > WIDTH {
            lines.push(word.to_owned());
        } else {
            let _ = write!(last, " {word}");
        }
    }
    lines
}

/// The default as it stands in a file.
fn default_of(flag: &Flag) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    match flag.kind {
        Kind::Bool | Kind::Int | Kind::Uint | Kind::Uint32 => flag.default.to_owned(),
        Kind::Duration => {
            let nanos: gotext::Nanos = flag.default.parse().expect("a default can be read");
            nanos.0.to_string()
        }
        Kind::Set | Kind::List => {
            let words: Vec<_> = flag.default.split(',').filter(|word| !word.is_empty()).map(text).collect();
            format!("[{}]", words.join(", "))
        }
        _ => text(flag.default),
    }
}

#[test]
fn the_sample_names_every_key_of_the_table() {
    if std::env::var_os("QUORATE_UPDATE_DOCS").is_some() {
        fs::write(PATH, sample()).expect("the sample can be written");
    }
    let page = fs::read_to_string(PATH).unwrap_or_default();
    assert!(page == sample(), "dist/quorate.yaml does not show the table of flags");
}

/// A member that is not started, and a directory for its configuration file: it is told its file's path, and by that path what to do.
struct Place {
    server: Server,
    directory: tempfile::TempDir,
}

impl Place {
    fn free() -> Place {
        let program = Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built");
        let server = Server::prepare(&program, "default", &[]);
        Place { server, directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Starts the member with a file, and returns its log.
    fn start(&mut self, file: &str) -> String {
        let path = self.directory.path().join("quorate.yaml");
        fs::write(&path, file).expect("a file in a fresh directory");
        // Its other flags are not looked at: the file takes their place.
        self.server.set_extra(&[&format!("--config-file={}", path.display())]);
        self.server.restart();
        self.server.log()
    }

    /// Returns the file with the addresses and the directory of this place.
    fn fill(&self, file: &str) -> String {
        let client = format!("http://{}", self.server.client_address());
        let peer = format!("http://{}", self.server.peer_address());
        let settings = [
            ("data-dir", self.server.data_dir().display().to_string()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer.clone()),
            ("initial-cluster", format!("default={peer}")),
        ];
        let lines = file.lines().map(|line| {
            let key = line.trim_start_matches('#').split(':').next().unwrap_or_default();
            match settings.iter().find(|(name, _)| *name == key) {
                Some((name, value)) => format!("{name}: {value}\n"),
                None => format!("{line}\n"),
            }
        });
        lines.collect()
    }
}

/// Puts every setting in force: takes away the `#` before what is no prose.
fn uncommented(file: &str) -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting)
            if setting.trim_start_matches("  ").starts_with(|first: char| first.is_ascii_lowercase()) =>
        {
            format!("{setting}\n")
        }
        _ => format!("{line}\n"),
    };
    file.lines().map(uncomment).collect()
}

#[test]
fn a_member_takes_the_sample() {
    let mut place = Place::free();
    let log = place.start(&place.fill(&sample()));
    assert!(!log.contains("unrecognized key"), "{log}");
}

#[test]
fn a_member_takes_every_line_of_the_sample() {
    let mut place = Place::free();
    let file = uncommented(&place.fill(&sample()));
    let settings = file.lines().filter(|line| !line.starts_with('#') && line.contains(": ")).count();
    assert_eq!(settings, table::flags().filter(|flag| flag.file_key().is_some()).count());
    let log = place.start(&file);
    assert!(!log.contains("unrecognized key"), "{log}");
}

/// The check behind both tests can fail.
#[test]
fn a_key_that_is_none_is_noticed() {
    let mut place = Place::free();
    let file = place.fill(&sample()) + "no-such-key: 1\n";
    assert!(place.start(&file).contains("unrecognized key"));
}
