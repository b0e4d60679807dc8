//! `-w table`: boxes of light lines, titles upper-cased and centred, cells to the right.
//!
//! Scripts should not read this, but some do: the bytes are those of etcdctl 3.7. The table libraries put the odd space
//! of a centred title on its other side, and a line under titles that have no rows.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table with these titles and rows.
    pub fn new(titles: &[&str], rows: Vec<Vec<String>>) -> Table {
        let titles = titles.iter().map(|title| title.to_uppercase().replace('_', " ")).collect();
        Table { titles, rows }
    }

    /// The columns that the widest line of each column takes on a terminal.
    fn widths(&self) -> Vec<usize> {
        let width = |cell: &String| lines(cell).map(|line| line.width()).max().unwrap_or(0);
        let widest = |(at, title): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.map(width).fold(width(title), usize::max)
        };
        self.titles.iter().enumerate().map(widest).collect()
    }
}

/// Returns the lines of a cell without the space around each.
fn lines(cell: &str) -> impl Iterator<Item = &str> {
    cell.lines().map(str::trim)
}

/// Writes a border with its left end, its crossings and its right end.
fn border(f: &mut fmt::Formatter<'_>, widths: &[usize], ends: [char; 3]) -> fmt::Result {
    let [left, middle, right] = ends;
    let segments: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    write!(f, "{left}{}{right}", segments.join(&middle.to_string()))
}

/// Writes a row: as many lines as its highest cell.
fn row(f: &mut fmt::Formatter<'_>, widths: &[usize], cells: &[String]) -> fmt::Result {
    let height = cells.iter().map(|cell| lines(cell).count()).max().unwrap_or(0).max(1);
    for at in 0..height {
        write!(f, "│")?;
        for (cell, width) in cells.iter().zip(widths) {
            let text = lines(cell).nth(at).unwrap_or_default();
            write!(f, " {}{text} │", " ".repeat(width - text.width()))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Without a newline at the end.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        border(f, &widths, ['┌', '┬', '┐'])?;
        write!(f, "\n│")?;
        for (title, width) in self.titles.iter().zip(&widths) {
            write!(f, " {title:^width$} │")?;
        }
        writeln!(f)?;
        if !self.rows.is_empty() {
            border(f, &widths, ['├', '┼', '┤'])?;
            writeln!(f)?;
        }
        for cells in &self.rows {
            row(f, &widths, cells)?;
        }
        border(f, &widths, ['└', '┴', '┘'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(titles: &[&str], rows: &[&[&str]]) -> String {
        let rows = rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
        Table::new(titles, rows).to_string()
    }

    #[test]
    fn titles_are_centred_and_cells_stand_to_the_right() {
        let titles = ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
        let members: [&[&str]; 2] = [
            &[
                "8e9e05c52164694d",
                "started",
                "default",
                "http://localhost:2380",
                "http://localhost:2379",
                "false",
            ],
            &["a", "unstarted", "", "http://localhost:12380", "", "true"],
        ];
        assert_eq!(
            drawn(&titles, &members),
            "\
┌──────────────────┬───────────┬─────────┬────────────────────────┬───────────────────────┬────────────┐
│        ID        │  STATUS   │  NAME   │       PEER ADDRS       │     CLIENT ADDRS      │ IS LEARNER │
├──────────────────┼───────────┼─────────┼────────────────────────┼───────────────────────┼────────────┤
│ 8e9e05c52164694d │   started │ default │  http://localhost:2380 │ http://localhost:2379 │      false │
│                a │ unstarted │         │ http://localhost:12380 │                       │       true │
└──────────────────┴───────────┴─────────┴────────────────────────┴───────────────────────┴────────────┘"
        );
    }

    #[test]
    fn a_table_without_rows_has_no_line_under_its_titles() {
        assert_eq!(
            drawn(&["endpoint", "hash", "hash_revision"], &[]),
            "\
┌──────────┬──────┬───────────────┐
│ ENDPOINT │ HASH │ HASH REVISION │
└──────────┴──────┴───────────────┘"
        );
    }

    #[test]
    fn wide_letters_and_line_breaks_keep_the_columns() {
        assert_eq!(
            drawn(&["ID", "Name"], &[&["1", " 日本 é "], &["2", "a\nb"]]),
            "\
┌────┬────────┐
│ ID │  NAME  │
├────┼────────┤
│  1 │ 日本 é │
│  2 │      a │
│    │      b │
└────┴────────┘"
        );
    }
}
