//! `quorateutl`: everything that is done to the files of a member that does not run.
//!
//! `snapshot`, `hashkv`, `migrate`, `defrag`, `version` and `completion` are etcdutl's, flag for flag and exit code for exit code; under the name `etcdutl` (a
//! link, or a copy) the program says that it is etcdutl. `verify` and `dump` are ours: the one says what is wrong with a
//! data directory, file and offset, the other what is in it. So is `backup`, for the archives that members write.
//!
//! What only reads does not write: `verify` and `dump` open files for reading, and where a library insists on writing
//! (redb does when it opens a file, and a raft log counts its openings), what it writes stays in memory
//! (`disk::ReadOnlyDisk`). They hold the directory's lock together with others that read, so no member runs meanwhile.

mod archive;
mod arguments;
mod backup;
mod completion;
mod defrag;
mod disk;
mod dump;
mod failure;
mod held;
mod log_line;
mod man;
mod migrate;
mod restore;
mod shown;
mod state;
mod verify;
mod version;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use self::failure::Failure;

/// Runs the command of this process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Vec<OsString>) -> Result<(), Failure> {
    let program = arguments::program_name(arguments.first());
    let Some(matches) = arguments::parse(program, arguments)? else { return Ok(()) };
    let globals = arguments::Globals::of(&matches)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = match matches.subcommand() {
        Some(("defrag", matches)) => defrag::run(&globals, matches),
        Some(("snapshot", matches)) => match matches.subcommand() {
            Some(("restore", matches)) => restore::run(&globals, matches),
            Some(("status", matches)) => backup::run_status(&globals, matches, &mut out),
            _ => arguments::print_help_of(program, "snapshot", &mut out),
        },
        Some(("backup", matches)) => match matches.subcommand() {
            Some(("list", matches)) => archive::run_list(&globals, matches, &mut out),
            Some(("verify", matches)) => archive::run_verify(&globals, matches, &mut out),
            Some(("extract", matches)) => archive::run_extract(matches),
            _ => arguments::print_help_of(program, "backup", &mut out),
        },
        Some(("hashkv", matches)) => backup::run_hash_kv(&globals, matches, &mut out),
        Some(("migrate", matches)) => migrate::run(&globals, matches),
        Some(("version", _)) => version::run(program, &mut out),
        Some(("man", matches)) => man::run(program, matches),
        Some(("completion", matches)) => completion::run(program, matches, &mut out),
        Some(("verify", matches)) => verify::run(&globals, matches, &mut out),
        Some(("dump", matches)) => dump::run(&globals, matches, &mut out),
        _ => arguments::print_help(program, &mut out),
    };
    done.and_then(|()| Ok(out.flush()?))
}
