//! The screen of `top`.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::{MemberRow, Rates, Role, View};
use crate::beyond::text;

/// A column of the members' table: it is shown when the terminal is at least this wide.
struct Column {
    title: &'static str,
    width: u16,
    from: u16,
    content: fn(&MemberRow) -> String,
}

const NAME_WIDTH: u16 = 16;

const COLUMNS: [Column; 12] = [
    Column { title: "ROLE", width: 8, from: 0, content: |row| row.role.word().to_owned() },
    Column { title: "LAG", width: 7, from: 36, content: |row| row.lag.map_or_else(dash, text::count) },
    Column { title: "DB", width: 7, from: 44, content: |row| row.db_size.map_or_else(dash, text::size) },
    Column { title: "QUOTA", width: 5, from: 100, content: quota },
    Column { title: "PUT/s", width: 7, from: 52, content: |row| rate(row, |rates| rates.puts) },
    Column { title: "GET/s", width: 7, from: 60, content: |row| rate(row, |rates| rates.ranges) },
    Column { title: "TXN/s", width: 7, from: 68, content: |row| rate(row, |rates| rates.txns) },
    Column { title: "DEL/s", width: 7, from: 108, content: |row| rate(row, |rates| rates.deletes) },
    Column { title: "ALL/s", width: 7, from: 78, content: |row| rate(row, |rates| rates.requests) },
    Column { title: "WATCHES", width: 7, from: 118, content: |row| gauge(row, |rates| rates.watchers) },
    Column { title: "PENDING", width: 7, from: 126, content: |row| gauge(row, |rates| rates.pending) },
    Column { title: "FSYNC", width: 6, from: 88, content: fsync },
];

fn dash() -> String {
    "-".to_owned()
}

fn rate(row: &MemberRow, of: fn(&Rates) -> f64) -> String {
    row.rates.as_ref().map_or_else(dash, |rates| number(of(rates)))
}

fn gauge(row: &MemberRow, of: fn(&Rates) -> Option<f64>) -> String {
    row.rates.as_ref().and_then(of).map_or_else(dash, |value| number(value.max(0.0)))
}

fn fsync(row: &MemberRow) -> String {
    row.rates.as_ref().and_then(|rates| rates.fsync).map_or_else(dash, text::duration)
}

fn quota(row: &MemberRow) -> String {
    match (row.db_size, row.db_quota) {
        (Some(size), Some(quota)) if quota > 0 => format!("{} %", size.saturating_mul(100) / quota),
        _ => dash(),
    }
}

/// A rate with one digit behind the point where it matters.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 9.95 => format!("{value:.1}"),
        value => text::count(value.round() as u64),
    }
}

/// Draws a view on the whole terminal.
pub fn draw(view: &View, frame: &mut Frame<'_>) {
    let members = u16::try_from(view.members.len()).unwrap_or(u16::MAX);
    let parts = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(members.saturating_add(1)),
        Constraint::Length(1),
        Constraint::Min(0),
    ];
    let [title, _, table, _, hot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(title_line(view)), title);
    draw_members(view, frame, table);
    draw_hot(view, frame, hot);
}

fn title_line(view: &View) -> Line<'static> {
    let mut spans = vec![
        Span::from(format!("cluster {:x}", view.cluster_id)).bold(),
        Span::from(format!("  term {}  revision {}", view.raft_term, view.revision)),
    ];
    if let Some(keys) = view.keys {
        spans.push(Span::from(format!("  {}", text::plural(keys, "key"))));
    }
    if !view.alarms.is_empty() {
        spans.push(Span::from(format!("  ALARM {}", view.alarms.join(", "))).fg(Color::Red).bold());
    }
    Line::from(spans)
}

const TITLE: Style = Style::new().add_modifier(Modifier::DIM);

fn role_style(role: Role) -> Style {
    match role {
        Role::Down => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Role::Leader => Style::new().fg(Color::Green),
        Role::Follower => Style::new(),
        Role::Learner => Style::new().fg(Color::Yellow),
    }
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

fn draw_members(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let shown: Vec<&Column> = COLUMNS.iter().filter(|column| column.from <= area.width).collect();
    let titles = shown.iter().enumerate().map(|(place, column)| match place {
        0 => Cell::from(column.title),
        _ => right(column.title.to_owned()),
    });
    let rows = view.members.iter().map(|member| {
        let cells = shown.iter().enumerate().map(|(place, column)| match place {
            0 => Cell::from((column.content)(member)).style(role_style(member.role)),
            _ => right((column.content)(member)),
        });
        Row::new([Cell::from(member.name.clone())].into_iter().chain(cells))
    });
    let widths = [NAME_WIDTH.min(area.width / 2)].into_iter().chain(shown.iter().map(|column| column.width));
    let table = Table::new(rows, widths.map(Constraint::Length))
        .header(Row::new([Cell::from("MEMBER")].into_iter().chain(titles)).style(TITLE));
    frame.render_widget(table, area);
}

fn draw_hot(view: &View, frame: &mut Frame<'_>, area: Rect) {
    if let Some(note) = &view.hot_note {
        frame.render_widget(Paragraph::new(note.as_str()).style(TITLE), area);
        return;
    }
    let header = format!("{:>8}  {:>9}  HOT PREFIX", "EVENTS/s", "BYTES/s");
    let mut lines = vec![Line::from(header).style(TITLE)];
    if view.hot.is_empty() {
        lines.push(Line::from("nothing changes").style(TITLE));
    }
    lines.extend(view.hot.iter().map(|hot| {
        let bytes = text::size(hot.bytes_rate.round() as u64);
        Line::from(format!("{:>8}  {bytes:>9}  {}", number(hot.rate), text::key(&hot.prefix)))
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
