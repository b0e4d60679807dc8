//! The registry of commands. Each family of commands is one file.

use std::future::Future;
use std::pin::Pin;

use clap::Command as Grammar;

use super::Invocation;
use super::beyond;
use super::exit::Failure;

pub mod alarm;
pub mod auth;
pub mod check;
pub mod compaction;
pub mod completion;
pub mod defrag;
pub mod del;
pub mod downgrade;
pub mod elect;
pub mod endpoint;
pub mod get;
pub mod help;
pub mod lease;
pub mod lock;
pub mod man;
pub mod member;
pub mod mirror;
pub mod move_leader;
pub mod options;
pub mod put;
pub mod role;
pub mod snapshot;
pub mod txn;
pub mod user;
pub mod version;
pub mod watch;

/// A section of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Keys, leases, transactions, watches.
    KeyValue,
    /// Members and their storage.
    Maintenance,
    /// Locks and elections.
    Concurrency,
    /// Users and roles.
    Authentication,
    /// What etcdctl does not have, and this program has not either when it is run as etcdctl: its commands may be cut
    /// short, and scripts that do so count on no others.
    Beyond,
    /// Everything else.
    Utility,
}

impl Group {
    /// All sections in the order of help.
    pub const ALL: [Group; 6] = [
        Group::KeyValue,
        Group::Maintenance,
        Group::Concurrency,
        Group::Authentication,
        Group::Beyond,
        Group::Utility,
    ];

    /// Returns its title.
    pub fn title(self) -> &'static str {
        match self {
            Group::KeyValue => "Key-value commands",
            Group::Maintenance => "Cluster maintenance commands",
            Group::Concurrency => "Concurrency commands",
            Group::Authentication => "Authentication commands",
            Group::Beyond => "Commands beyond etcdctl",
            Group::Utility => "Utility commands",
        }
    }
}

/// A run of a command, until its end.
pub type Running = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// A command, with its subcommands.
pub struct Command {
    /// Its name on the line.
    pub name: &'static str,
    /// Where help lists it.
    pub group: Group,
    /// Adds its description, flags and subcommands to a grammar that has its name.
    pub grammar: fn(Grammar) -> Grammar,
    /// Runs it.
    pub run: fn(Invocation) -> Running,
}

impl Command {
    /// Returns its whole grammar.
    pub fn whole(&self) -> Grammar {
        (self.grammar)(Grammar::new(self.name))
    }
}

/// The commands of etcdctl.
pub const COMMANDS: &[Command] = &[
    // Keys and values.
    put::COMMAND,
    get::COMMAND,
    del::COMMAND,
    txn::COMMAND,
    watch::COMMAND,
    compaction::COMMAND,
    lease::COMMAND,
    // Members and their storage.
    alarm::COMMAND,
    defrag::COMMAND,
    downgrade::COMMAND,
    endpoint::COMMAND,
    member::COMMAND,
    move_leader::COMMAND,
    snapshot::COMMAND,
    // Users and roles.
    auth::COMMAND,
    role::COMMAND,
    user::COMMAND,
    // Locks and elections.
    lock::COMMAND,
    elect::COMMAND,
    // Utilities.
    check::COMMAND,
    completion::COMMAND,
    help::COMMAND,
    man::COMMAND,
    mirror::COMMAND,
    options::COMMAND,
    version::COMMAND,
];

/// Returns the commands of a program of this name: as `etcdctl`, it has etcdctl's and no others.
pub fn of(program: &str) -> impl Iterator<Item = &'static Command> {
    let beyond = if program.contains("etcdctl") { &[] } else { beyond::COMMANDS };
    COMMANDS.iter().chain(beyond)
}

/// Returns the command of this name, or the only one whose name begins so.
pub fn named(program: &str, word: &str) -> Option<&'static Command> {
    let mut starting = of(program).filter(|command| command.name.starts_with(word));
    let exact = of(program).find(|command| command.name == word);
    exact.or_else(|| starting.next().filter(|_| starting.next().is_none()))
}
