//! Runs of `quoratectl`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use testkit::{Program, Server};

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A server with the binary that talks to it.
pub(crate) struct Tool {
    pub(crate) endpoints: String,
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// Starts a server of one member.
pub(crate) fn server() -> (Server, Tool) {
    let program = Program::quorate().expect("a server");
    let server = Server::start(&program, &[]);
    let tool = Tool::of(&server);
    (server, tool)
}

impl Tool {
    /// A tool that asks one server.
    pub(crate) fn of(server: &Server) -> Tool {
        Tool { endpoints: server.client_address(), variables: Vec::new() }
    }

    /// The command, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quoratectl"));
        command.arg("--endpoints").arg(&self.endpoints).args(arguments).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs it to its end with this input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it, expects success, and returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        ran.stdout
    }

    /// Puts a key and returns its revision.
    pub(crate) fn put(&self, key: &str, value: &str) -> i64 {
        let printed = self.ok(&["put", "-w", "json", "--", key, value]);
        let (_, rest) = printed.split_once("\"revision\":").unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }
}
