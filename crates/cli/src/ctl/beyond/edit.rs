//! `edit`: a value in an editor, written back if nobody changed it meanwhile.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use bytes::Bytes;
use clap::Command as Grammar;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, PutRequest, RequestOp, TxnRequest};
use tempfile::NamedTempFile;

use super::lines;
use super::pages::key_at;
use crate::beyond::text;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags;
use crate::ctl::{Invocation, print};

/// The command.
pub const COMMAND: Command =
    Command { name: "edit", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

/// Where there is neither `VISUAL` nor `EDITOR`: POSIX demands it.
const EDITOR: &str = "vi";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Edits a value in $EDITOR and writes it back, unless it was changed meanwhile")
        .override_usage("<key>")
        .args(flags::positionals(&["key"]))
        .after_help("quoratectl edit /app/config\nEDITOR='code --wait' quoratectl edit /app/config")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let key = lines::exactly_one(&invocation, "a key")?;
    let session = lines::open(&invocation).await?;
    let (before, _) = key_at(&session, &key, 0).await?;
    let (value, mod_revision) = before.map_or((Bytes::new(), 0), |kv| (kv.value, kv.mod_revision));
    if std::str::from_utf8(&value).is_err() {
        return Err(Failure::error(format!(
            "{} is not text, which an editor would spoil: `get -w raw` and `put` take it as it is",
            text::key(&key)
        )));
    }
    let mut file = file_with(&value)?;
    run_editor(file.path()).map_err(|why| keep(&mut file, &value, why))?;
    let mut edited = Vec::new();
    // By its name: many editors put a new file in the place of the old one.
    std::fs::File::open(file.path())?.read_to_end(&mut edited)?;
    if edited == value {
        return print::write_line(format!("{} is as it was", text::key(&key)));
    }
    let edited = Bytes::from(edited);
    match put_if_unchanged(&session, &key, &edited, mod_revision).await {
        Ok(Some(revision)) => {
            print::write_line(format!("{} written at revision {revision}", text::key(&key)))
        }
        Ok(None) => {
            let why = format!(
                "{} was changed by somebody else meanwhile, so that nothing was written",
                text::key(&key)
            );
            Err(keep(&mut file, &value, Failure::error(why)))
        }
        Err(failure) => Err(keep(&mut file, &value, failure)),
    }
}

fn file_with(value: &[u8]) -> Result<NamedTempFile, Failure> {
    let mut file = tempfile::Builder::new().prefix("quoratectl-").suffix(suffix(value)).tempfile()?;
    file.write_all(value)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// What an editor chooses its colours by.
fn suffix(value: &[u8]) -> &'static str {
    if value.trim_ascii_start().starts_with(b"{") { ".json" } else { ".txt" }
}

/// Runs the editor, which may be a command with arguments, and waits for it.
fn run_editor(path: &Path) -> Result<(), Failure> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| EDITOR.to_owned());
    // The shell takes the words of the variable apart, as git and crontab have it done.
    let status =
        Process::new("/bin/sh").arg("-c").arg(format!("{editor} \"$@\"")).arg(&editor).arg(path).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::error(format!("{editor:?} ended with {status}, so that nothing was written"))),
    }
}

/// Keeps an edited text that could not be written, and says where it is.
fn keep(file: &mut NamedTempFile, before: &[u8], failure: Failure) -> Failure {
    let is_edited = std::fs::read(file.path()).is_ok_and(|edited| edited != before);
    if !is_edited || failure.exit == Exit::PipeClosed {
        return failure;
    }
    file.disable_cleanup(true);
    failure.with_hint(&format!("your text is kept in {}", PathBuf::from(file.path()).display()))
}

/// Writes the value if the key's last change is still that one (0: there is no such key). Returns the revision.
async fn put_if_unchanged(
    session: &Session,
    key: &Bytes,
    value: &Bytes,
    mod_revision: i64,
) -> Result<Option<i64>, Failure> {
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(mod_revision)),
        ..Compare::default()
    };
    // The lease stays, if there is one. A key that is new has none to keep.
    let put = PutRequest {
        key: key.clone(),
        value: value.clone(),
        ignore_lease: mod_revision > 0,
        ..PutRequest::default()
    };
    let put = RequestOp { request: Some(Request::RequestPut(put)) };
    let txn = TxnRequest { compare: vec![compare], success: vec![put], failure: Vec::new() };
    let answer = session.answer(session.kv().txn(txn)).await?;
    Ok(answer.succeeded.then(|| answer.header.map(|header| header.revision).unwrap_or_default()))
}
