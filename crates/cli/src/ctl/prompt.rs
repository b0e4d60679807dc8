//! Asking for a password.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::exit::Failure;

/// Prints `prompt` and reads a line of standard input, which is not shown when it comes from a terminal. Without a line
/// the password is empty, and space around it is not part of it: as etcdctl has it.
///
/// # Errors
/// When standard input cannot be read.
pub fn password(prompt: &str) -> Result<String, Failure> {
    let mut stdout = io::stdout();
    stdout.write_all(prompt.as_bytes())?;
    stdout.flush()?;
    let hidden = Hidden::hide();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(hidden);
    // The newline that was typed was not shown.
    stdout.write_all(b"\n")?;
    read.map_err(|error| Failure::error(format!("failed during password entry: {error}")))?;
    Ok(line.trim().to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn hide() -> Option<Hidden> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).ok()?;
        Some(Hidden { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
