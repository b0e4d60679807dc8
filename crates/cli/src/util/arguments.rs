//! The command line: what etcdutl's is, and two commands more.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::failure::Failure;
use crate::go::duration::parse_signed;
use crate::go::number::{parse_bool, parse_unsigned};
use crate::go::quote::quote;

/// The name under which the program is etcdutl.
pub(super) const ETCDUTL: &str = "etcdutl";
const QUORATEUTL: &str = "quorateutl";

/// Returns the name that the program goes by: etcdutl's, if it was called so.
pub(super) fn program_name(first: Option<&OsString>) -> &'static str {
    let name = first.and_then(|path| Path::new(path).file_stem()).unwrap_or_default();
    if name == ETCDUTL { ETCDUTL } else { QUORATEUTL }
}

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Json,
}

/// What every command takes.
pub(super) struct Globals {
    /// How long to wait for the directory's lock; `None`: for as long as it takes.
    pub(super) timeout: Option<Duration>,
    write_out: String,
}

impl Globals {
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let timeout = text("timeout");
        let timeout = lock_timeout(&timeout).map_err(|why| {
            let given = quote(timeout.as_bytes());
            Failure::error(format!("invalid argument {given} for \"--timeout\" flag: {why}"))
        })?;
        Ok(Self { timeout, write_out: text("write-out") })
    }

    /// The format of the output, as it was asked for.
    pub(super) fn write_out(&self) -> &str {
        &self.write_out
    }

    /// The format of the output, of the two that our own commands have.
    pub(super) fn format(&self) -> Result<Format, Failure> {
        match self.write_out.as_str() {
            "simple" => Ok(Format::Simple),
            "json" => Ok(Format::Json),
            known @ ("fields" | "protobuf" | "table") => {
                Err(Failure::unsupported(format!("{known} not supported as output format")))
            }
            _ => Err(Failure::unsupported("unsupported output format")),
        }
    }
}

/// Returns how long to wait for the lock; `None`: for as long as it takes, which is what 0 says. With a negative time, etcdutl
/// tries once.
fn lock_timeout(text: &str) -> Result<Option<Duration>, String> {
    match parse_signed(text)?.0 {
        0 => Ok(None),
        nanos => Ok(Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))),
    }
}

/// The whole command line.
pub(super) fn command(program: &'static str) -> Command {
    let timeout = Arg::new("timeout")
        .long("timeout")
        .value_name("duration")
        .default_value("10s")
        .allow_hyphen_values(true)
        .help("time to wait to obtain a file lock on db file, 0 to block indefinitely");
    let write_out = Arg::new("write-out")
        .long("write-out")
        .short('w')
        .value_name("string")
        .default_value("simple")
        .help("set the output format (fields, json, protobuf, simple, table)");
    Command::new(program)
        .about("Administrates the files of a Quorate member that does not run")
        .infer_subcommands(true)
        .disable_version_flag(true)
        .arg(timeout.global(true))
        .arg(write_out.global(true))
        .subcommands([
            backup(),
            completion(),
            defrag(),
            dump(),
            hashkv(),
            man(),
            migrate(),
            snapshot(),
            verify(),
        ])
        .subcommand(version(program))
}

/// What is short for it in etcdutl is not short for our own commands.
fn version(program: &str) -> Command {
    Command::new("version")
        .aliases(["v", "ve", "ver"])
        .about(format!("Prints the version of {program}"))
        .arg(ignored())
}

/// What etcdutl takes behind its flags, and does nothing with.
fn ignored() -> Arg {
    Arg::new("ignored").num_args(0..).hide(true)
}

fn data_dir(help: &'static str) -> Arg {
    Arg::new("data-dir").long("data-dir").value_name("string").required(true).help(help)
}

fn wal_dir() -> Arg {
    Arg::new("wal-dir")
        .long("wal-dir")
        .value_name("string")
        .help("Where the raft log is, if the member has a --wal-dir")
}

fn defrag() -> Command {
    Command::new("defrag")
        .alias("d")
        .about("Defragments the storage of the etcd")
        .arg(data_dir("Required. Defragments a data directory not in use by etcd."))
        .arg(ignored())
}

fn hashkv() -> Command {
    Command::new("hashkv")
        .about("Prints the KV history hash of a given file")
        .arg(Arg::new("file").required(true).value_name("filename"))
        .arg(
            Arg::new("rev")
                .long("rev")
                .value_name("int")
                .value_parser(clap::value_parser!(i64))
                .help("maximum revision to hash (default: latest revision)"),
        )
        .after_help(
            "The file is a backup, or the database file of an etcd that does not run; or the data directory of a Quorate member \
             that does not run. It is only read.",
        )
}

/// What is short for it in etcdutl is not short for our own commands.
fn migrate() -> Command {
    let version = "Target etcd version to migrate contents of data dir. Minimal value 3.5. Format \"X.Y\" for example 3.6.";
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("string").required(true).allow_hyphen_values(true).help(help)
    };
    Command::new("migrate")
        .alias("m")
        .about(
            "Migrates schema of etcd data dir files to make them compatible with different etcd version: a data directory \
             of Quorate has one schema",
        )
        .arg(text("data-dir", "Path to the etcd data dir"))
        .arg(text("target-version", version))
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Ignore migration failure and forcefully override storage version: of no effect"),
        )
        .arg(ignored())
}

fn snapshot() -> Command {
    let status = Command::new("status")
        .about("Gets backend snapshot status of a given file")
        .arg(Arg::new("file").num_args(0..).value_name("filename"))
        .after_help("Example:\n  quorateutl snapshot status backup.db -w table");
    Command::new("snapshot").about("Manages etcd node snapshots").subcommands([restore(), status])
}

/// The commands for archives.
fn backup() -> Command {
    let archive = || Arg::new("archive").required(true).value_name("archive");
    let list = Command::new("list").about("Says what there is, and which revisions can be restored");
    let verify = Command::new("verify").about("Reads everything and says what is damaged");
    let extract = Command::new("extract")
        .about("Writes what the cluster had at a revision or a time as a backup file, which etcdutl restores, too")
        .arg(text("output", "Required. The file, which must not exist").short('o').required(true))
        .args(moment());
    let commands = [list, verify, extract].map(|command| {
        command.arg(archive()).args(store()).after_help(
            "The archive is what members write to with --backup-to: a directory, or s3://bucket/prefix.",
        )
    });
    Command::new("backup").about("Looks into an archive of backups").subcommands(commands)
}

fn text(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("string").allow_hyphen_values(true).help(help)
}

/// Which moment of an archive is meant.
fn moment() -> [Arg; 2] {
    let revision =
        Arg::new("revision").long("revision").value_name("int").value_parser(clap::value_parser!(i64));
    [
        revision.help("From an archive: the revision to restore (default: the newest)"),
        text("time", "From an archive: the time to restore, as 2026-11-30T21:00:00Z")
            .conflicts_with("revision"),
    ]
}

/// How an archive is reached.
fn store() -> [Arg; 5] {
    [
        text("cluster", "The cluster, if the archive holds several: its id in hexadecimal"),
        text("s3-endpoint", "URL of an S3-compatible store [default: AWS_ENDPOINT_URL, or AWS]"),
        text("s3-region", "Region of the bucket [default: AWS_REGION, or us-east-1]"),
        text("s3-ca-file", "CA that signs the store's certificate [default: those of the system]"),
        text("credentials-file", "File with credentials in AWS's form [default: AWS_ACCESS_KEY_ID, …]"),
    ]
}

/// The flags of `snapshot restore`, in etcdutl's words.
fn restore() -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("uint").value_parser(parse_unsigned).help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(parse_bool)
            .help(help)
    };
    Command::new("restore")
        .about("Restores an etcd member snapshot to a data directory of a new member")
        .arg(Arg::new("file").num_args(0..).value_name("filename"))
        .args([
            text("data-dir", "Path to the output data directory [default: <name>.etcd]"),
            text("wal-dir", "Path to the WAL directory (use --data-dir if none given)"),
            text("initial-cluster", "Initial cluster configuration for restore bootstrap")
                .default_value("default=http://localhost:2380"),
            text(
                "initial-cluster-token",
                "Initial cluster token for the etcd cluster during restore bootstrap",
            )
            .default_value("etcd-cluster"),
            text(
                "initial-advertise-peer-urls",
                "List of this member's peer URLs to advertise to the rest of the cluster",
            )
            .default_value("http://localhost:2380"),
            text("name", "Human-readable name for this member").default_value("default"),
            flag(
                "skip-hash-check",
                "Ignore snapshot integrity hash value (required if copied from data directory)",
            ),
            number("initial-memory-map-size", "Taken, and of no effect: nothing is mapped into memory")
                .default_value("10737418240"),
            number("bump-revision", "How much to increase the latest revision after restore").default_value("0"),
            flag(
                "mark-compacted",
                "Mark the latest revision after restore as the point of scheduled compaction (required if \
                 --bump-revision > 0, disallowed otherwise)",
            ),
            text(
                "from-data-dir",
                "Restore from the data directory of a member that does not run, of Quorate or etcd, instead of a file",
            ),
            text("from-wal-dir", "Where that member's log is, if it has a --wal-dir"),
        ])
        .args(moment())
        .args(store())
        .after_help(
            "The file is a backup of a Quorate or an etcd (3.4 to 3.7), or an archive that members write to with --backup-to: a \
             directory, or s3://bucket/prefix. Every member of the new cluster is restored from the \
             same file with the same --initial-cluster.\n\nExample:\n  quorateutl snapshot restore backup.db --data-dir \
             new.etcd --bump-revision 1000000000 --mark-compacted",
        )
}

fn completion() -> Command {
    Command::new("completion")
        .about("Generate completion script")
        .arg(Arg::new("shell").required(true).value_name("bash|zsh|fish|powershell"))
}

/// Hidden: it is for those who make packages.
fn man() -> Command {
    Command::new("man")
        .about("Writes manual pages to a directory")
        .hide(true)
        .arg(Arg::new("directory").required(true))
}

fn verify() -> Command {
    Command::new("verify")
        .about("Says everything that is wrong with a data directory, file and offset")
        .arg(data_dir("Required. A data directory that no member uses."))
        .arg(wal_dir())
        .after_help(
            "Nothing is written. Exit code 0: nothing is damaged; 1: something is.\n\nExample:\n  \
             quorateutl verify --data-dir default.etcd",
        )
}

fn dump() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("string").allow_hyphen_values(true).help(help)
    };
    Command::new("dump")
        .about("Shows what is in a data directory: raft log, history, state, or what its files say of themselves")
        .arg(data_dir("Required. A data directory that no member uses."))
        .arg(wal_dir())
        .arg(flag("what", "Required. log, history, state or meta").required(true))
        .arg(flag("from", "The first to show: an index (log), a main revision (history), a key (state)"))
        .arg(flag("to", "The last to show: an index, a main revision; of state the key before which to end"))
        .arg(
            Arg::new("secrets")
                .long("secrets")
                .action(ArgAction::SetTrue)
                .help("Shows password hashes and tokens, too"),
        )
        .after_help(
            "One line for each entry, change or record; JSON with -w json.\n\nExamples:\n  \
             quorateutl dump --data-dir default.etcd --what log --from 100\n  \
             quorateutl dump --data-dir default.etcd --what state -w json",
        )
}

/// Takes the arguments apart; `None` if help was asked for, and has been given.
pub(super) fn parse(program: &'static str, arguments: Vec<OsString>) -> Result<Option<ArgMatches>, Failure> {
    match command(program).try_get_matches_from(arguments) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            error.print()?;
            Ok(None)
        }
        Err(error) => Err(Failure::error(explain(program, &error))),
    }
}

/// What is wrong with the arguments, in etcdutl's words where it has some.
fn explain(program: &str, error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand);
            format!("unknown command {name:?} for {program:?}\nRun '{program} --help' for usage.")
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            format!("unknown flag: {flag}\nRun '{program} --help' for usage.")
        }
        ErrorKind::UnknownArgument => format!("unknown argument {flag:?}"),
        ErrorKind::MissingRequiredArgument if flag.starts_with('<') => {
            "accepts 1 arg(s), received 0".to_owned()
        }
        ErrorKind::MissingRequiredArgument => {
            format!("required flag(s) \"{}\" not set", flag.trim_start_matches('-'))
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals if context(ContextKind::InvalidValue).is_empty() => {
            format!("flag needs an argument: {flag}")
        }
        ErrorKind::ValueValidation if flag.starts_with('-') => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let value = context(ContextKind::InvalidValue);
            format!("invalid argument {value:?} for {flag:?} flag: {why}")
        }
        _ => error.to_string().trim_start_matches("error: ").trim_end().to_owned(),
    }
}

/// Shows the help of the program.
pub(super) fn print_help(program: &'static str, out: &mut dyn Write) -> Result<(), Failure> {
    Ok(writeln!(out, "{}", command(program).render_help())?)
}

/// Shows the help of a command that has others below it.
pub(super) fn print_help_of(program: &'static str, name: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let mut program = command(program);
    program.build();
    match program.find_subcommand_mut(name) {
        Some(command) => Ok(writeln!(out, "{}", command.render_help())?),
        None => Ok(()),
    }
}

/// The directories that a command is about: the data directory, and that of the raft log if it is elsewhere.
pub(super) fn directories(matches: &ArgMatches) -> (PathBuf, Option<PathBuf>) {
    let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
    (path("data-dir").unwrap_or_default(), path("wal-dir"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_waited_for_as_etcdutl_does() {
        assert_eq!(lock_timeout("1.5s"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(lock_timeout("0"), Ok(None));
        assert_eq!(lock_timeout("-1s"), Ok(Some(Duration::ZERO)));
        assert_eq!(lock_timeout("10"), Err("time: missing unit in duration \"10\"".to_owned()));
    }
}
