//! Tables with borders, as etcdctl 3.7 draws them: titles in upper case and centred, cells to the right.

use std::fmt;

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

    fn widths(&self) -> Vec<usize> {
        let column =
            |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).chain([&self.titles[at]]);
        (0..self.titles.len()).map(|at| column(at).map(|cell| width(cell)).max().unwrap_or(0)).collect()
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Writes a border with its left end, its crossings and its right end.
fn border(f: &mut fmt::Formatter<'_>, widths: &[usize], ends: [char; 3]) -> fmt::Result {
    let [left, middle, right] = ends;
    let segments: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    write!(f, "{left}{}{right}", segments.join(&middle.to_string()))
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
        for row in &self.rows {
            write!(f, "│")?;
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, " {cell:>width$} │")?;
            }
            writeln!(f)?;
        }
        border(f, &widths, ['└', '┴', '┘'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_drawn_as_etcdctl_draws_it() {
        let cells = [["127.0.0.1:2379", "1"], ["e", "1234567890"]];
        let rows = cells.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let drawn = "\
┌────────────────┬───────────────┐
│    ENDPOINT    │ HASH REVISION │
├────────────────┼───────────────┤
│ 127.0.0.1:2379 │             1 │
│              e │    1234567890 │
└────────────────┴───────────────┘";
        assert_eq!(Table::new(&["endpoint", "hash_revision"], rows).to_string(), drawn);
    }
}
