//! `backup list`, `verify` and `extract`, and `snapshot restore` from an archive: what members
//! write with `--backup-to`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use archive::name::Millis;
use archive::{Address, Overview, S3Options, Stop, Store, Wanted, overview, survey};
use clap::ArgMatches;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::arguments::{Format, Globals};
use super::failure::Failure;
use super::log_line::{Level, print};
use crate::ctl::progress;

/// An archive, and which moment of it is meant.
pub(super) struct Archive {
    place: String,
    store: Box<dyn Store>,
    cluster: Option<u64>,
    wanted: Wanted,
}

impl Archive {
    /// Reads the command line; `None`: the argument is no archive but a file.
    pub(super) fn of(matches: &ArgMatches, argument: &str) -> Result<Option<Self>, Failure> {
        let wanted = wanted(matches)?;
        match Address::of_argument(argument) {
            Some(address) => Self::open(matches, argument, &address.map_err(failed)?, wanted).map(Some),
            None if wanted == Wanted::Newest => Ok(None),
            None => Err(Failure::bad_arguments(
                "--revision and --time are of an archive, which is a directory or s3://bucket/prefix",
            )),
        }
    }

    /// Reads the command line of a command that is for archives only.
    fn required(matches: &ArgMatches, wanted: Wanted) -> Result<Self, Failure> {
        let argument = matches.get_one::<String>("archive").map_or("", String::as_str);
        let address = Address::of_argument(argument).unwrap_or(Ok(Address::Directory(argument.into())));
        Self::open(matches, argument, &address.map_err(failed)?, wanted)
    }

    fn open(
        matches: &ArgMatches,
        argument: &str,
        address: &Address,
        wanted: Wanted,
    ) -> Result<Self, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().filter(|text| !text.is_empty());
        let cluster = text("cluster").map(|text| {
            let wrong = |_| Failure::bad_arguments(format!("--cluster: {text:?} is no id in hexadecimal"));
            u64::from_str_radix(&text, 16).map_err(wrong)
        });
        let options = S3Options {
            endpoint: text("s3-endpoint"),
            region: text("s3-region"),
            credentials_file: text("credentials-file").map(PathBuf::from),
            ca_file: text("s3-ca-file").map(PathBuf::from),
        };
        let store = address.open(&options, Stop::never()).map_err(failed)?;
        Ok(Self { place: argument.to_owned(), store, cluster: cluster.transpose()?, wanted })
    }

    /// What the command line calls it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn overview(&self) -> Result<Overview, Failure> {
        overview(&*self.store, self.cluster).map_err(failed)
    }

    /// Writes what the cluster had at the moment that is meant, and says what it is made of.
    pub(super) fn extract(&self, spool_dir: &Path, out: &mut File) -> Result<(), Failure> {
        let cluster = self.overview()?.cluster;
        let extracted =
            archive::extract(&*self.store, cluster, self.wanted, spool_dir, out).map_err(failed)?;
        for (name, why) in &extracted.damaged {
            let fields = [("object", json!(name)), ("why", json!(why))];
            print(Level::Warn, "an object is damaged; others took its place", &fields);
        }
        let fields = [
            ("cluster-id", json!(format!("{cluster:x}"))),
            ("revision", json!(extracted.revision)),
            ("compact-revision", json!(extracted.compact_revision)),
            ("full-backup", json!(extracted.plan.full.to_string())),
            ("pieces", json!(extracted.plan.pieces.len())),
        ];
        print(Level::Info, "read the archive", &fields);
        Ok(())
    }
}

/// `backup list`.
pub(super) fn run_list(globals: &Globals, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
    let format = globals.format()?;
    let overview = Archive::required(matches, Wanted::Newest)?.overview()?;
    match format {
        Format::Json => writeln!(out, "{}", as_json(&overview))?,
        Format::Simple => print_lines(&overview, out)?,
    }
    Ok(())
}

fn as_json(overview: &Overview) -> Value {
    let Overview { cluster, catalogue, ranges } = overview;
    let full = |(name, bytes): &(archive::name::FullName, u64)| json!({"name": name.to_string(), "revision": name.revision, "time": shown(name.time), "bytes": bytes});
    let piece = |(name, bytes): &(archive::name::PieceName, u64)| json!({"name": name.to_string(), "from": name.from, "to": name.to, "time": shown(name.time), "bytes": bytes});
    let range = |range: &archive::Range| json!({"from": range.full.revision, "to": range.to});
    json!({
        "clusterId": format!("{cluster:x}"),
        "restorable": ranges.iter().map(range).collect::<Vec<_>>(),
        "fulls": catalogue.fulls.iter().map(full).collect::<Vec<_>>(),
        "pieces": catalogue.pieces.iter().map(piece).collect::<Vec<_>>(),
        "unfinished": catalogue.halves.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn print_lines(overview: &Overview, out: &mut dyn Write) -> Result<(), Failure> {
    let Overview { cluster, catalogue, ranges } = overview;
    writeln!(out, "cluster {cluster:x}")?;
    for (name, bytes) in &catalogue.fulls {
        let (revision, time) = (name.revision, shown(name.time));
        writeln!(out, "full backup of revision {revision}, {time}, {bytes} bytes: {name}")?;
    }
    let bytes: u64 = catalogue.pieces.iter().map(|(_, bytes)| bytes).sum();
    let last = catalogue.pieces.iter().map(|(name, _)| name.time).max().map(shown);
    let last = last.map_or(String::new(), |last| format!(", the last one {last}"));
    writeln!(out, "{} pieces, {bytes} bytes{last}", catalogue.pieces.len())?;
    for half in &catalogue.halves {
        writeln!(out, "not finished: {half}")?;
    }
    for range in ranges {
        writeln!(out, "restorable: revisions {} to {}", range.full.revision, range.to)?;
    }
    if ranges.is_empty() {
        writeln!(out, "restorable: nothing, as no full backup was finished")?;
    }
    Ok(())
}

/// `backup verify`.
pub(super) fn run_verify(
    globals: &Globals,
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let format = globals.format()?;
    let archive = Archive::required(matches, Wanted::Newest)?;
    let overview = archive.overview()?;
    let objects = overview.catalogue.fulls.len() + overview.catalogue.pieces.len();
    let bar: ProgressBar = progress::steps("Verifying", objects as u64);
    let survey = survey(&*archive.store, &overview, |_| bar.inc(1)).map_err(failed);
    bar.finish_and_clear();
    let survey = survey?;
    let is_sound = survey.findings.is_empty();
    match format {
        Format::Json => {
            let finding = |finding: &archive::Finding| json!({"object": finding.name, "what": finding.what});
            let findings: Vec<Value> = survey.findings.iter().map(finding).collect();
            let json = json!({
                "ok": is_sound, "objects": survey.objects, "bytes": survey.bytes, "findings": findings,
            });
            writeln!(out, "{json}")?;
        }
        Format::Simple => {
            for finding in &survey.findings {
                writeln!(out, "damage: {}: {}", finding.name, finding.what)?;
            }
            print_lines(&overview, out)?;
            let verdict = if is_sound { "ok" } else { "damaged" };
            writeln!(out, "{verdict}: {} objects, {} bytes read", survey.objects, survey.bytes)?;
        }
    }
    out.flush()?;
    match survey.findings.len() {
        0 => Ok(()),
        damaged => Err(Failure::error(format!("{damaged} object(s) of the archive are damaged"))),
    }
}

/// `backup extract`.
pub(super) fn run_extract(matches: &ArgMatches) -> Result<(), Failure> {
    let archive = Archive::required(matches, wanted(matches)?)?;
    let output = PathBuf::from(matches.get_one::<String>("output").map_or("", String::as_str));
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let said = |error: std::io::Error| Failure::error(format!("{}: {error}", output.display()));
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&output).map_err(said)?;
    let written = archive.extract(dir, &mut file).and_then(|()| file.sync_all().map_err(said));
    if written.is_err() {
        let _ = std::fs::remove_file(&output);
    }
    written
}

/// The moment that is meant.
fn wanted(matches: &ArgMatches) -> Result<Wanted, Failure> {
    if let Some(revision) = matches.get_one::<i64>("revision") {
        return Ok(Wanted::Revision(*revision));
    }
    let Some(text) = matches.get_one::<String>("time") else { return Ok(Wanted::Newest) };
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = time.and_then(|time| Millis::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    let wrong = || Failure::bad_arguments(format!("--time: {text:?} is no time, like 2026-11-30T21:00:00Z"));
    millis.map(Wanted::Time).ok_or_else(wrong)
}

fn shown(time: Millis) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * 1_000_000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::error(error.to_string())
}
