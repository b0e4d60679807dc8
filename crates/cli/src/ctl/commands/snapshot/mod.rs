//! `snapshot save`: everything that one member stores, in a file.

use std::future::Future;
use std::path::PathBuf;

use clap::Command as Grammar;
use indicatif::ProgressBar;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use tonic::Streaming;

use self::file::Part;
use super::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::Flags as _;
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, flags, progress, refusal};

mod file;

/// The command.
pub const COMMAND: Command = Command {
    name: "snapshot",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

const EXAMPLES: &str = "\
# Save snapshot to a given file
etcdctl snapshot save /backup/etcd-snapshot.db

# Get snapshot from given address and save it to file
etcdctl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db

# Get snapshot from given address with certificates
etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/etcd.crt --key=/etc/etcd/etcd.key snapshot save /backup/etcd-snapshot.db

# Get snapshot with certain user and password
etcdctl --user=root --password=password123 snapshot save /backup/etcd-snapshot.db

# Get snapshot from given address with timeout
etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=20s snapshot save /backup/etcd-snapshot.db

# Save snapshot with desirable time format
etcdctl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db";

fn grammar(grammar: Grammar) -> Grammar {
    grammar.about("Manages etcd node snapshots").after_help(EXAMPLES).subcommand(
        Grammar::new("save")
            .about("Stores an etcd node backend snapshot to a given file")
            .override_usage("<filename>")
            .after_help(EXAMPLES)
            .args(flags::positionals(&["filename"])),
    )
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let arguments = invocation.matches.positionals();
    let [path] = arguments.as_slice() else {
        return Err(Failure::arguments("snapshot save expects one argument <filename>"));
    };
    let path = PathBuf::from(path);
    let session = invocation.open().await?;
    let endpoints = session.client.endpoints();
    if endpoints.len() != 1 {
        let endpoints = endpoints.join(" ");
        let text = format!("snapshot must be requested to one selected node, not multiple [{endpoints}]");
        return Err(interrupted(text));
    }
    let part = Part::create(&path).map_err(interrupted)?;
    let version = in_time(&session, save(&session, part)).await?;
    write_line(format_args!("Snapshot saved at {}", path.display()))?;
    if version.is_empty() {
        return Ok(());
    }
    write_line(format_args!("Server version {version}"))
}

fn interrupted(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Interrupted, what)
}

/// Awaits the save for as long as it takes, or for `--command-timeout` where that is given: unlike all other commands,
/// this one has no limit by default. Interrupted at the keyboard, it removes what it has written.
async fn in_time(
    session: &Session,
    save: impl Future<Output = Result<String, Failure>>,
) -> Result<String, Failure> {
    let limit = async {
        match session.globals.is_set("command-timeout") {
            true => tokio::time::sleep(session.globals.command_timeout()).await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        saved = save => saved,
        () = limit => Err(interrupted("context deadline exceeded (see --command-timeout)")),
        _ = tokio::signal::ctrl_c() => Err(interrupted("interrupted: nothing was saved")),
    }
}

/// Fetches the snapshot and returns the version of the server, empty before etcd 3.6.
async fn save(session: &Session, mut part: Part) -> Result<String, Failure> {
    let mut stub = MaintenanceClient::new(session.client.channel()).max_decoding_message_size(usize::MAX);
    let opened = stub.snapshot(SnapshotRequest::default()).await;
    let mut pieces =
        opened.map_err(|status| refusal::of_status(&status).under(Exit::Interrupted))?.into_inner();
    let mut first = true;
    let (mut version, mut bar) = (String::new(), ProgressBar::hidden());
    while let Some(piece) = next(&mut pieces).await? {
        let received = piece.blob.len() as u64;
        if first {
            bar = progress::bytes("Saving", received + piece.remaining_bytes);
            version = piece.version;
            first = false;
        }
        part.append(&piece.blob).map_err(interrupted)?;
        bar.inc(received);
    }
    bar.finish_and_clear();
    part.finish().map_err(interrupted)?;
    Ok(version)
}

async fn next(pieces: &mut Streaming<SnapshotResponse>) -> Result<Option<SnapshotResponse>, Failure> {
    let piece = pieces.message().await;
    piece.map_err(|status| interrupted(format!("could not write snapshot: {}", refusal::text_of(&status))))
}
