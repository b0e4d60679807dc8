//! The binary `quoratectl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_cli::ctl::main()
}
