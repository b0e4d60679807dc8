//! The binary `quorateutl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_cli::util::main()
}
