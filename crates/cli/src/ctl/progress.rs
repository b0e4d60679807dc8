//! Progress bars on standard error: only on a terminal, and gone when the work is done, so that what stays on the
//! screen is what a pipe would have got.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

/// How often a bar is drawn again while nothing moves, so that its clock goes on.
const TICK: Duration = Duration::from_millis(200);

/// A terminal that is narrower has no place for a bar.
const COLUMNS_MIN: u16 = 60;

const BYTES: &str =
    "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} ETA {eta}";
const STEPS: &str = "{msg} {wide_bar} {pos}/{len} {per_sec} ETA {eta}";
const NARROW: &str = "{percent}% ETA {eta}";
const ENDLESS: &str = "{spinner} {msg} {pos} {per_sec} {elapsed}";
const ENDLESS_NARROW: &str = "{spinner} {pos}";

/// Returns a bar for bytes of a known number.
pub fn bytes(what: &'static str, total: u64) -> ProgressBar {
    bar(what, Some(total), if is_narrow() { NARROW } else { BYTES })
}

/// Returns a bar for steps of a known number.
pub fn steps(what: &'static str, total: u64) -> ProgressBar {
    bar(what, Some(total), if is_narrow() { NARROW } else { STEPS })
}

/// Returns a counter for work that does not end by itself.
pub fn endless(what: &'static str) -> ProgressBar {
    bar(what, None, if is_narrow() { ENDLESS_NARROW } else { ENDLESS })
}

fn is_narrow() -> bool {
    tcgetwinsize(std::io::stderr()).is_ok_and(|size| (1..COLUMNS_MIN).contains(&size.ws_col))
}

fn bar(what: &'static str, total: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_message(what);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_templates() {
        for template in [BYTES, STEPS, NARROW, ENDLESS, ENDLESS_NARROW] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
