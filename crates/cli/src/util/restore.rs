//! `snapshot restore`: a data directory for a new member, from a backup.
//!
//! Flags, their defaults, the checks and their order are etcdutl's, and so are the lines on standard error. What is ours is the
//! warning of revisions that would be used a second time.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use backup::restore::{
    Founding, Options, Progress, RestoreError, Restored, Stage, Target, restore_etcd, restore_file,
    restore_made, restore_state,
};
use clap::ArgMatches;
use datadir::url::{UrlError, parse_cluster};
use datadir::{Layout, Origin, Url};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::archive::Archive;
use super::arguments::Globals;
use super::failure::Failure;
use super::held::Held;
use super::log_line::{Level, object, print};
use super::state::State;
use crate::ctl::progress;

/// By how much revisions are best raised: more than any cluster uses between two backups.
const RAISE: u64 = 1_000_000_000;

pub(super) fn run(globals: &Globals, matches: &ArgMatches) -> Result<(), Failure> {
    let command = Arguments::of(matches)?;
    let origin = command.origin()?;
    let target = command.target();
    target.check().map_err(failed)?;
    print(Level::Info, "restoring snapshot", &command.fields());
    let options = Options { skip_hash_check: command.skip_hash_check, raise_revision: command.bump_revision };
    let mut bars = Bars::default();
    let mut progress = Progress::new(|stage, done, total| bars.show(stage, done, total));
    let raise = options.raise_revision;
    let restored = match &command.source {
        Source::File(file) => restore_file(Path::new(file), &origin, &target, options, &mut progress),
        Source::Archive(archive) => {
            return command.restore_archive(archive, &origin, &target);
        }
        Source::Dir { dir, wal_dir } if Layout::of(dir).is_etcds() => {
            restore_etcd(dir, wal_dir.as_deref(), &origin, &target, raise, &mut progress)
        }
        Source::Dir { dir, wal_dir } => {
            let held = Held::shared(dir, wal_dir.clone(), globals.timeout, "restore from")?;
            let state = State::open(held, dir)?;
            restore_state(&state.machine, &origin, &target, raise, &mut progress)
        }
    };
    drop(progress);
    bars.end();
    command.report(&restored.map_err(refused)?, &origin);
    Ok(())
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        refused(error)
    }
}

fn refused(error: RestoreError) -> Failure {
    match error {
        // Go's words for the usual case.
        RestoreError::Io { op: "open", path, source } if source.kind() == ErrorKind::NotFound => {
            Failure::error(format!("open {}: no such file or directory", path.display()))
        }
        error => failed(error),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::error(error.to_string())
}

/// Where the state comes from.
enum Source {
    File(String),
    /// The data directory of a member that does not run, of etcd or ours, and its log if that lies elsewhere.
    Dir {
        dir: PathBuf,
        wal_dir: Option<PathBuf>,
    },
    Archive(Archive),
}

impl Source {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
        let files: Vec<&String> = matches.get_many("file").into_iter().flatten().collect();
        match (path("from-data-dir"), &files[..]) {
            (Some(dir), []) => Ok(Self::Dir { dir, wal_dir: path("from-wal-dir") }),
            (Some(_), _) => {
                Err(Failure::bad_arguments("snapshot restore takes a file or --from-data-dir, not both"))
            }
            (None, [file]) => match Archive::of(matches, file)? {
                Some(archive) => Ok(Self::Archive(archive)),
                None => Ok(Self::File((*file).clone())),
            },
            (None, _) => Err(Failure::bad_arguments("snapshot restore requires exactly one argument")),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::File(file) => file.clone(),
            Self::Dir { dir, .. } => dir.display().to_string(),
            Self::Archive(archive) => archive.place().to_owned(),
        }
    }
}

/// The command line.
struct Arguments {
    source: Source,
    name: String,
    initial_cluster: String,
    token: String,
    advertised: String,
    data_dir: PathBuf,
    wal_dir: Option<PathBuf>,
    skip_hash_check: bool,
    bump_revision: u64,
    memory_map_bytes: u64,
}

impl Arguments {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(0);
        let flag = |name: &str| matches.get_one::<bool>(name).copied().unwrap_or(false);
        let source = Source::of(matches)?;
        let bump_revision = number("bump-revision");
        if (bump_revision > 0) != flag("mark-compacted") {
            return Err(Failure::bad_arguments("--mark-compacted required if --revision-bump > 0"));
        }
        let name = text("name");
        let data_dir = match text("data-dir") {
            dir if dir.is_empty() => PathBuf::from(format!("{name}.etcd")),
            dir => PathBuf::from(dir),
        };
        let wal_dir = Some(PathBuf::from(text("wal-dir")));
        let wal_dir =
            wal_dir.filter(|dir| !dir.as_os_str().is_empty() && *dir != Layout::of(&data_dir).wal());
        Ok(Self {
            source,
            name,
            initial_cluster: text("initial-cluster"),
            token: text("initial-cluster-token"),
            advertised: text("initial-advertise-peer-urls"),
            data_dir,
            wal_dir,
            skip_hash_check: flag("skip-hash-check"),
            bump_revision,
            memory_map_bytes: number("initial-memory-map-size"),
        })
    }

    /// Who the member is.
    fn origin(&self) -> Result<Origin, Failure> {
        let advertised: Result<Vec<Url>, UrlError> = self.advertised.split(',').map(Url::parse).collect();
        let founding = Founding {
            name: self.name.clone(),
            advertised: advertised.map_err(failed)?,
            members: parse_cluster(&self.initial_cluster).map_err(failed)?,
            token: self.token.clone(),
        };
        founding.origin().map_err(failed)
    }

    fn restore_archive(&self, archive: &Archive, origin: &Origin, target: &Target) -> Result<(), Failure> {
        let mut bars = Bars::default();
        let mut progress = Progress::new(|stage, done, total| bars.show(stage, done, total));
        let make = |dir: &Path| {
            let mut file = tempfile::tempfile_in(dir).map_err(failed)?;
            archive.extract(dir, &mut file)?;
            Ok::<_, Failure>(file)
        };
        let restored = restore_made(make, origin, target, self.bump_revision, &mut progress);
        drop(progress);
        bars.end();
        self.report(&restored?, origin);
        Ok(())
    }

    /// Says what was restored.
    fn report(&self, restored: &Restored, origin: &Origin) {
        tell(restored, self.bump_revision);
        print_members(origin);
        print(Level::Info, "restored snapshot", &self.fields());
    }

    fn target(&self) -> Target {
        Target { data_dir: self.data_dir.clone(), wal_dir: self.wal_dir.clone() }
    }

    /// What etcdutl says at the beginning and at the end. The directory of the store has another name here.
    fn fields(&self) -> [(&'static str, Value); 5] {
        let layout = Layout::of(&self.data_dir);
        let path = |path: &Path| Value::from(path.display().to_string());
        [
            ("path", Value::from(self.source.path())),
            ("wal-dir", path(self.wal_dir.as_deref().unwrap_or(&layout.wal()))),
            ("data-dir", path(&self.data_dir)),
            ("snap-dir", path(&layout.store())),
            ("initial-memory-map-size", Value::from(self.memory_map_bytes)),
        ]
    }
}

/// Says what whoever restores has to know.
fn tell(restored: &Restored, bump: u64) {
    let Restored { file_revision, revision, .. } = *restored;
    if bump > 0 {
        let fields = [
            ("latest-revision", json!(file_revision)),
            ("bump-amount", json!(bump)),
            ("new-latest-revision", json!(revision)),
        ];
        print(Level::Info, "bumping latest revision", &fields);
        print(Level::Info, "marking revision compacted", &[("revision", json!(revision))]);
    } else {
        let fields = [
            ("latest-revision", json!(revision)),
            ("instead", json!(format!("--bump-revision {RAISE} --mark-compacted"))),
        ];
        let what = "revisions after the backup will be used again, for other changes: clients that have seen them (the \
            caches of a Kubernetes control plane, watchers that resume) can miss changes, unless all of them are restarted";
        print(Level::Warn, what, &fields);
    }
    let shown = |(alarm, member): &(i32, u64)| {
        object([("member", json!(format!("{member:x}"))), ("alarm", json!(alarm))])
    };
    if !restored.alarms.is_empty() {
        let alarms: Vec<Value> = restored.alarms.iter().map(shown).collect();
        let what = "alarms of the old cluster are active in the new one; `etcdctl alarm disarm` ends them";
        print(Level::Warn, what, &[("alarms", Value::from(alarms))]);
    }
    if !restored.stray_leases.is_empty() {
        let leases: Vec<String> = restored.stray_leases.iter().map(|id| format!("{id:016x}")).collect();
        let what = "keys are attached to leases that the file does not have, and would never expire; these leases were made \
            again with the longest time there is";
        print(Level::Warn, what, &[("leases", json!(leases))]);
    }
}

/// Says who the members of the new cluster are, a line for each as etcdutl does: scripts wait for it.
fn print_members(origin: &Origin) {
    let hex = |id: u64| Value::from(format!("{id:x}"));
    for member in &origin.members {
        let fields = [
            ("cluster-id", hex(origin.identity.cluster.0)),
            ("local-member-id", Value::from("0")),
            ("added-peer-id", hex(member.id.0)),
            ("added-peer-peer-urls", json!(member.peer_urls)),
            ("added-peer-is-learner", Value::from(false)),
        ];
        print(Level::Info, "added member", &fields);
    }
}

/// A bar for each stage, on a terminal.
#[derive(Default)]
struct Bars(Option<(Stage, ProgressBar)>);

impl Bars {
    fn show(&mut self, stage: Stage, done: u64, total: u64) {
        if self.0.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.end();
            let what = match stage {
                Stage::Verifying => "Verifying",
                Stage::Reading => "Reading",
                Stage::Comparing => "Comparing",
                Stage::Writing => "Writing keys",
                Stage::History => "Writing history",
            };
            self.0 = Some((stage, progress::bytes(what, total)));
        }
        if let Some((_, bar)) = &self.0 {
            bar.set_position(done.min(total));
        }
    }

    fn end(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}
