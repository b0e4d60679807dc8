//! The manual page of the server, made from its `--help`. (The tools write their own pages: `quoratectl man DIRECTORY`.)

use roff::{Roff, bold, roman};

/// The beginning of a line of `--help` that names a flag.
const FLAG: &str = "  --";

/// Returns `quorate.8`.
pub fn of_server(help: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", ["QUORATE", "8", "", concat!("quorate ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]);
    page.text([roman(
        "quorate - a distributed, strongly consistent key-value store that speaks the etcd v3 API",
    )]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("quorate"), roman(" [flags]")]);
    let mut is_past_usage = false;
    for line in help.lines() {
        match heading(line) {
            Some("Usage") | None if !is_past_usage => continue,
            Some(title) => {
                is_past_usage = true;
                page.control("SH", [title.to_uppercase().as_str()]);
            }
            None if line.starts_with(FLAG) => {
                page.control("TP", []);
                page.text([bold(line.trim())]);
            }
            None => {
                page.text([roman(line.trim())]);
            }
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("quoratectl(1), quorateutl(1)")]);
    page.render()
}

/// Returns the text of a line that stands above flags: `Member:`.
fn heading(line: &str) -> Option<&str> {
    line.strip_suffix(':').filter(|title| !title.is_empty() && !title.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Usage:\n\n  quorate [flags]\n    Start a member.\n\nEvery flag can be a variable.\n\nMember:\n  \
                        --name 'default'\n    The name.\n  --wal-dir ''\n    Where the log is.\n";

    #[test]
    fn headings_are_sections_and_flags_are_terms() {
        let page = of_server(HELP);
        assert!(page.contains(".SH MEMBER\n"), "{page}");
        assert_eq!(page.matches(".TP\n").count(), 2, "{page}");
        assert!(page.contains("The name."), "{page}");
        assert!(!page.contains("Start a member"), "{page}");
    }
}
