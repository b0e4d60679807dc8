//! SIGINT and SIGTERM: the polite way to stop a member.
//!
//! The first one asks: the member finishes what is in flight, closes, and then dies of the signal after all, so that a shell or a
//! service manager sees what it sees of etcd (130 and 143). As process 1 of a container a signal cannot kill, and the
//! process exits with 0. A second signal does not ask: it ends the process at once.
//!
//! A member that is still [starting](Starting) has nothing to finish: a signal ends it at once, too. As process 1 that takes a
//! handler, as the kernel drops a signal that has none, and the container would not stop until it is killed.

use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{fmt, io};

use engine::spawn;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, iterator, low_level};

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

/// How a signal ends a process at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As if nothing had been said about the signal.
    ByDefault,
    /// With the exit code that a shell shows for a process that died of the signal: for process 1, which dies of none.
    ByExit,
}

impl End {
    fn of_this_process() -> End {
        if process::id() == 1 { End::ByExit } else { End::ByDefault }
    }
}

/// The signals of a process that is starting. The first one ends it at once.
#[derive(Debug)]
pub struct Starting {
    ends_at_once: Arc<AtomicBool>,
}

impl Starting {
    /// Begins. To be called once.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn begin() -> io::Result<Starting> {
        Self::of(End::of_this_process())
    }

    fn of(end: End) -> io::Result<Starting> {
        let ends_at_once = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            let condition = Arc::clone(&ends_at_once);
            match end {
                End::ByDefault => flag::register_conditional_default(signal, condition)?,
                End::ByExit => flag::register_conditional_shutdown(signal, 128 + signal, condition)?,
            };
        }
        Ok(Starting { ends_at_once })
    }

    /// The process has started: from now on the first signal asks, and the second one ends it at once.
    ///
    /// # Errors
    /// When the operating system refuses a handler or a thread.
    pub fn watch(self) -> io::Result<Signals> {
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM])?;
        for signal in [SIGINT, SIGTERM] {
            // Its handler runs after the one that looks at this: the first signal finds it down, the second one up.
            flag::register(signal, Arc::clone(&self.ends_at_once))?;
        }
        let (sender, arrivals) = channel();
        let here = sender.clone();
        let hand_on = move || {
            for number in signals.forever() {
                let signal = if number == SIGINT { StopSignal::Interrupt } else { StopSignal::Terminate };
                let _ = here.send(Arrival::Signal(signal));
            }
        };
        spawn::thread("signals", hand_on)?;
        // Last: a signal that comes before this ends the process, and none is lost in between.
        self.ends_at_once.store(false, Ordering::SeqCst);
        Ok(Signals { arrivals, sender })
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
        for (order, signal) in
            [("terminate", SIGTERM), ("interrupt", SIGINT), ("impatient", SIGTERM), ("starting", SIGTERM)]
        {
            assert_eq!(child(order).signal(), Some(signal), "{order}");
        }
        for order in ["starting, process 1", "impatient, process 1"] {
            assert_eq!(child(order).code(), Some(128 + SIGTERM), "{order}");
        }
        assert_eq!(child("closed").code(), Some(7));
        assert_eq!(child("between").signal(), Some(SIGTERM), "it came while nobody waited");
    }

    fn obey(order: &str) {
        let (order, end) = match order.strip_suffix(", process 1") {
            Some(order) => (order, End::ByExit),
            None => (order, End::ByDefault),
        };
        let starting = Starting::of(end).unwrap();
        if order == "starting" {
            low_level::raise(SIGTERM).unwrap();
            process::exit(6);
        }
        let signals = starting.watch().unwrap();
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
