//! The pictures of the manual, drawn by what draws the terminal, of a cluster that is made up.
//!
//! The test fails when a picture is not what the code draws. This draws them anew:
//!
//! ```sh
//! UPDATE_PICTURES=1 cargo test -p quorate-cli --test pictures
//! ```

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod samples;
mod svg;

use std::path::PathBuf;

use quorate_cli::beyond::doctor::{Level, examine, summary};
use quorate_cli::beyond::top;
use quorate_cli::beyond::tree::Limits;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::text::Line;

const VARIABLE: &str = "UPDATE_PICTURES";

#[test]
fn top_is_as_in_the_manual() {
    compare("top.svg", "quoratectl top", &top::frame(&samples::view(), 112));
}

#[test]
fn tree_is_as_in_the_manual() {
    let lines = samples::tree().lines(b"/registry/", Limits { depth: 2, children: 4 });
    compare("tree.svg", "quoratectl tree /registry/ --top 4", &buffer(lines.into_iter().map(Line::from)));
}

#[test]
fn doctor_is_as_in_the_manual() {
    let findings = examine(&samples::facts());
    let colour = |level| match level {
        Level::Fine => Color::Green,
        Level::Unknown => Color::DarkGray,
        Level::Warning => Color::Yellow,
        Level::Problem => Color::Red,
    };
    let lines = findings.iter().map(|finding| Line::from(finding.line()).style(colour(finding.level)));
    compare("doctor.svg", "quoratectl doctor", &buffer(lines.chain([Line::from(summary(&findings))])));
}

fn buffer<'a>(lines: impl Iterator<Item = Line<'a>>) -> Buffer {
    Buffer::with_lines(lines)
}

fn compare(name: &str, title: &str, buffer: &Buffer) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures").join(name);
    let drawn = svg::draw(title, buffer);
    if std::env::var_os(VARIABLE).is_some() {
        std::fs::write(&path, drawn).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, drawn, "docs/pictures/{name} is not what is drawn: {VARIABLE}=1 draws it anew");
}
