//! The cells of a terminal as SVG.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

const CELL_WIDTH: f64 = 8.4;
const CELL_HEIGHT: u16 = 18;
const MARGIN: u16 = 12;
const BACKGROUND: &str = "#1d2021";
const FOREGROUND: &str = "#d5c4a1";

/// Returns a picture of a terminal below the command that filled it.
pub(crate) fn draw(title: &str, buffer: &Buffer) -> String {
    let area = buffer.area;
    let width = f64::from(area.width) * CELL_WIDTH + f64::from(MARGIN * 2);
    let height = (area.height + 1) * CELL_HEIGHT + MARGIN * 2;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n"
    );
    text(&mut svg, 0, 0, &format!("$ {title}"), "fill=\"#928374\"");
    for (row, cells) in buffer.content.chunks(usize::from(area.width).max(1)).enumerate() {
        draw_row(&mut svg, row + 1, cells);
    }
    svg + "</svg>\n"
}

/// Draws runs of cells of one style. Spaces between words end a run: its place is then right whatever the font's widths.
fn draw_row(svg: &mut String, row: usize, cells: &[Cell]) {
    let mut start = 0;
    while start < cells.len() {
        let style = style(&cells[start]);
        let run = cells[start..]
            .iter()
            .take_while(|cell| cell.symbol() != " " && self::style(cell) == style)
            .count();
        if run > 0 {
            let symbols: String = cells[start..start + run].iter().map(Cell::symbol).collect();
            text(svg, row, start, &symbols, &style);
        }
        start += run.max(1);
    }
}

fn text(svg: &mut String, row: usize, column: usize, text: &str, style: &str) {
    let x = f64::from(MARGIN) + column as f64 * CELL_WIDTH;
    let y = usize::from(MARGIN) + (row + 1) * usize::from(CELL_HEIGHT) - 5;
    let length = text.chars().count() as f64 * CELL_WIDTH;
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\" {style}>{escaped}</text>")
        .unwrap();
}

fn style(cell: &Cell) -> String {
    let colour = match cell.fg {
        Color::Red => "#fb4934",
        Color::Green => "#b8bb26",
        Color::Yellow => "#fabd2f",
        Color::DarkGray => "#928374",
        _ => FOREGROUND,
    };
    let weight = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let opacity = if cell.modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
    format!("fill=\"{colour}\"{weight}{opacity}")
}
