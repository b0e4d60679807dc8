//! `grpc-timeout`: a client's deadline, at which the server ends the call, whatever the client does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};

use super::encoding::quoted;

/// When a call has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// Reads `grpc-timeout`. There is no deadline without the header, or when it is further away than clocks go.
    ///
    /// # Errors
    /// In the words of grpc-go, if the header is malformed.
    pub(crate) fn of(header: Option<&HeaderValue>) -> Result<Option<Self>, String> {
        let Some(value) = header else { return Ok(None) };
        let timeout =
            parse(&quoted(value.as_bytes())).map_err(|why| format!("malformed grpc-timeout: {why}"))?;
        Ok(Instant::now().checked_add(timeout).map(Self))
    }

    /// Returns whether it is over.
    pub(crate) fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Returns the code of a call that was dropped before it had one: by its deadline, or by its client.
pub(crate) fn given_up(deadline: Option<Deadline>) -> Code {
    if deadline.is_some_and(Deadline::has_passed) { Code::DeadlineExceeded } else { Code::Cancelled }
}

/// Returns the status of a call that is over its deadline, in the words of Go's `context`.
pub(crate) fn exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

/// Reads up to eight digits and a unit, as grpc-go's `decodeTimeout` does.
fn parse(text: &str) -> Result<Duration, String> {
    const HOUR: u64 = 60 * 60;
    if text.len() < 2 {
        return Err(format!("transport: timeout string is too short: {text:?}"));
    }
    if text.len() > 9 {
        return Err(format!("transport: timeout string is too long: {text:?}"));
    }
    let mut digits = text.chars();
    let unit: fn(u64) -> Duration = match digits.next_back() {
        Some('H') => |hours| Duration::from_secs(hours * HOUR),
        Some('M') => |minutes| Duration::from_secs(minutes * 60),
        Some('S') => Duration::from_secs,
        Some('m') => Duration::from_millis,
        Some('u') => Duration::from_micros,
        Some('n') => Duration::from_nanos,
        _ => return Err(format!("transport: timeout unit is not recognized: {text:?}")),
    };
    let digits = digits.as_str();
    // Rust's parser would take a plus sign.
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.map(unit).ok_or_else(|| format!("strconv.ParseUint: parsing {digits:?}: invalid syntax"))
}

/// The clock of a call with a deadline. The timer is set when the call has to wait for the first time: most do not.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Option<Deadline>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(crate) fn new(deadline: Option<Deadline>) -> Self {
        Self { deadline, sleep: None }
    }

    /// Returns ready when the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.0))).as_mut().poll(cx)
    }
}

/// Returns what `call` returns; `None` if it takes longer than the deadline allows.
pub(crate) async fn within<T>(deadline: Option<Deadline>, call: impl Future<Output = T>) -> Option<T> {
    let mut call = std::pin::pin!(call);
    let mut timer = Timer::new(deadline);
    std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_go_reads_them() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse(text), Ok(timeout), "{text}");
        }
        for (text, why) in [
            ("", "transport: timeout string is too short: \"\""),
            ("S", "transport: timeout string is too short: \"S\""),
            ("123456789S", "transport: timeout string is too long: \"123456789S\""),
            ("abc", "transport: timeout unit is not recognized: \"abc\""),
            ("1s", "transport: timeout unit is not recognized: \"1s\""),
            ("1\u{fffd}", "transport: timeout unit is not recognized: \"1\u{fffd}\""),
            ("abS", "strconv.ParseUint: parsing \"ab\": invalid syntax"),
            ("-1S", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("+1S", "strconv.ParseUint: parsing \"+1\": invalid syntax"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline_and_one_without_does_not() {
        let of = |timeout: &'static str| Deadline::of(Some(&HeaderValue::from_static(timeout))).unwrap();
        assert_eq!(Deadline::of(None), Ok(None));
        assert!(of("0n").unwrap().has_passed() && !of("1S").unwrap().has_passed());
        assert_eq!(within(of("1m"), std::future::pending::<()>()).await, None);
        assert_eq!(
            within(of("0n"), std::future::ready(1)).await,
            Some(1),
            "what is there is not thrown away"
        );
        assert_eq!(within(None, tokio::time::sleep(Duration::from_millis(1))).await, Some(()));
    }
}
