//! A frame of `top` as lines of text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::{View, draw};

/// Returns how many lines a view takes.
pub fn height(view: &View) -> u16 {
    u16::try_from(view.members.len() + view.hot.len().max(1) + 5).unwrap_or(u16::MAX)
}

/// Returns the cells of a frame of this many columns.
pub fn frame(view: &View, columns: u16) -> Buffer {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, height(view)));
    let Ok(frame) = terminal.draw(|frame| draw(view, frame));
    frame.buffer.clone()
}

/// Returns the lines of a frame, without colours.
pub fn plain(view: &View, columns: u16) -> Vec<String> {
    let buffer = frame(view, columns);
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    let mut lines: Vec<String> = buffer.content.chunks(width).map(line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
