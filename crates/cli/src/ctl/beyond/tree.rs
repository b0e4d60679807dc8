//! `tree`: how many keys and bytes are below each segment of a path.

use clap::Command as Grammar;

use super::lines;
use super::pages::{Content, Pages};
use crate::beyond::tree::{Limits, Tree};
use crate::ctl::Invocation;
use crate::ctl::commands::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};

/// The command.
pub const COMMAND: Command =
    Command { name: "tree", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

const DEPTH: usize = 2;
const CHILDREN: usize = 20;

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Shows how many keys and bytes are below each segment of a path")
        .override_usage("[prefix]")
        .arg(flags::number("depth", "Segments below the prefix that are shown (default 2)"))
        .arg(flags::number("top", "Children of a segment that are shown, the biggest first; 0 for all (default 20)"))
        .arg(flags::number("rev", "Revision to read at; 0 is the newest"))
        .args(flags::positionals(&["prefix"]))
        .after_help("quoratectl tree\nquoratectl tree /registry/ --depth 1\nquoratectl tree /registry/pods/ --depth 3 --top 0")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let prefix = lines::at_most_one(&invocation)?.unwrap_or_default();
    let matches = &invocation.matches;
    let given = |name, default| match matches.contains_id(name) {
        true => usize::try_from(matches.number(name))
            .map_err(|_| Failure::arguments(format!("--{name} is below 0"))),
        false => Ok(default),
    };
    let depth = given("depth", DEPTH)?;
    let children = match given("top", CHILDREN)? {
        0 => usize::MAX,
        top => top,
    };
    let session = lines::open(&invocation).await?;
    let mut tree = Tree::default();
    let mut pages = Pages::of(&session, &prefix, matches.number("rev").max(0), Content::Values);
    while let Some(page) = pages.next().await? {
        for kv in page {
            let bytes = (kv.key.len() + kv.value.len()) as u64;
            tree.add(&kv.key[prefix.len()..], bytes, depth);
        }
    }
    lines::write(&tree.lines(&prefix, Limits { depth, children }))
}
