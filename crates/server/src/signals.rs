//! SIGINT and SIGTERM: the polite way to stop a member.
//!
//! The first one asks: the member finishes what is in flight, closes, and then dies of the signal after all, so that a shell or a
//! service manager sees what it sees of etcd (130 and 143). As process 1 of a container a signal cannot kill, and the
//! process exits with 0. A second signal does not ask: it has its default effect at once.
//!
//! Until [`Signals::watch`] is called, signals have their default effect: a member that is still starting has nothing to
//! finish.

use std::fmt;
use std::io;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator;
use signal_hook::{flag, low_level};

use crate::spawn;

/// A signal that asks the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager.
    Terminate,
}

impl StopSignal {
    fn number(self) -> i32 {
        match self {
            StopSignal::Interrupt => SIGINT,
            StopSignal::Terminate => SIGTERM,
        }
    }
}

/// As Go names them in etcd's log.
impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopSignal::Interrupt => "interrupt",
            StopSignal::Terminate => "terminated",
        })
    }
}

/// What ends a wait.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Signal(StopSignal),
    End,
}

/// The signals that arrive from now on, also while nobody waits: a member that starts over in this process is stopped by one
/// that came meanwhile.
#[derive(Debug)]
pub struct Signals {
    arrivals: Receiver<Arrival>,
    sender: Sender<Arrival>,
}

impl Signals {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the operating system refuses a handler or a thread.
    pub fn watch() -> io::Result<Signals> {
        let asked_before = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and raises it, the second one finds it raised.
            flag::register_conditional_default(signal, Arc::clone(&asked_before))?;
            flag::register(signal, Arc::clone(&asked_before))?;
        }
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM])?;
        let (sender, arrivals) = channel();
        let here = sender.clone();
        let hand_on = move || {
            for number in signals.forever() {
                let signal = if number == SIGINT { StopSignal::Interrupt } else { StopSignal::Terminate };
                let _ = here.send(Arrival::Signal(signal));
            }
        };
        spawn::thread("signals", hand_on)?;
        Ok(Signals { arrivals, sender })
    }

    /// Waits for a signal. Returns `None` if the wait is [ended](Self::end_of_wait) before.
    pub fn wait(&self) -> Option<StopSignal> {
        match self.arrivals.recv() {
            Ok(Arrival::Signal(signal)) => Some(signal),
            // There is always a sender: this one's own.
            Ok(Arrival::End) | Err(_) => None,
        }
    }

    /// Returns what ends one wait without a signal, called from any thread.
    pub fn end_of_wait(&self) -> impl FnOnce() + Send + 'static {
        let sender = self.sender.clone();
        move || {
            let _ = sender.send(Arrival::End);
        }
    }
}

/// Ends the process as this signal would have ended it, once everything is closed.
pub fn end_process(signal: StopSignal) -> ExitCode {
    if process::id() == 1 {
        return ExitCode::SUCCESS;
    }
    let _ = low_level::emulate_default_handler(signal.number());
    // Only reached if the signal could not be raised: the code that a shell would have seen.
    ExitCode::from(128 + u8::try_from(signal.number()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// Set in the child processes of the test below.
    const CHILD: &str = "QUORATE_TEST_SIGNAL_CHILD";

    /// Runs this test's other half in a process of its own and says how that ended.
    fn child(order: &str) -> process::ExitStatus {
        let this = std::env::current_exe().unwrap();
        let name = "signals::tests::a_stopped_process_dies_of_its_signal";
        Command::new(this).args([name, "--exact", "--nocapture"]).env(CHILD, order).output().unwrap().status
    }

    #[test]
    fn a_stopped_process_dies_of_its_signal() {
        if let Ok(order) = std::env::var(CHILD) {
            return obey(&order);
        }
        for (order, signal) in [("terminate", SIGTERM), ("interrupt", SIGINT), ("impatient", SIGTERM)] {
            assert_eq!(child(order).signal(), Some(signal), "{order}");
        }
        assert_eq!(child("closed").code(), Some(7));
        assert_eq!(child("between").signal(), Some(SIGTERM), "it came while nobody waited");
    }

    fn obey(order: &str) {
        let signals = Signals::watch().unwrap();
        if order == "between" {
            signals.end_of_wait()();
            assert_eq!(signals.wait(), None);
        }
        let (number, expected) = match order {
            "interrupt" => (SIGINT, StopSignal::Interrupt),
            _ => (SIGTERM, StopSignal::Terminate),
        };
        low_level::raise(number).unwrap();
        let signal = signals.wait().unwrap();
        assert_eq!(signal, expected);
        match order {
            // The second one does not wait for anybody.
            "impatient" => low_level::raise(SIGTERM).unwrap(),
            // The first one alone ends nothing: there is time to close.
            "closed" => process::exit(7),
            _ => {}
        }
        if order == "impatient" {
            process::exit(8);
        }
        end_process(signal);
        process::exit(9);
    }

    #[test]
    fn signals_are_named_as_in_etcds_log() {
        assert_eq!(
            (StopSignal::Interrupt.to_string(), StopSignal::Terminate.to_string()),
            ("interrupt".into(), "terminated".into())
        );
    }
}
