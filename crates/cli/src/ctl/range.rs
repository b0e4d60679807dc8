//! From a key, `range_end`, `--prefix` and `--from-key` to a range: the same rules for several commands.

use bytes::Bytes;
use clap::ArgMatches;

use super::exit::Failure;
use super::flags::Flags as _;

/// As a `range_end`: no end. As a key: the smallest one.
pub const ZERO: Bytes = Bytes::from_static(b"\0");

/// Refuses `--prefix` together with `--from-key`.
///
/// # Errors
/// When both are on.
pub fn refuse_both(matches: &ArgMatches) -> Result<(), Failure> {
    if matches.is_on("prefix") && matches.is_on("from-key") {
        let text = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
        return Err(Failure::arguments(text));
    }
    Ok(())
}

/// Refuses a `range_end` together with `--prefix` or `--from-key`.
///
/// # Errors
/// When there is one, and a flag is on.
pub fn refuse_range_end(matches: &ArgMatches, arguments: &[Bytes]) -> Result<(), Failure> {
    if arguments.len() > 1 && (matches.is_on("prefix") || matches.is_on("from-key")) {
        return Err(Failure::arguments(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        ));
    }
    Ok(())
}

/// Returns key and range end of arguments and flags that were not refused. An empty key with a flag stands for all
/// keys.
pub fn of(matches: &ArgMatches, arguments: Vec<Bytes>) -> (Bytes, Bytes) {
    let mut arguments = arguments.into_iter();
    let (key, range_end) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    match (matches.is_on("prefix"), matches.is_on("from-key")) {
        (false, false) => (key, range_end),
        _ if key.is_empty() => (ZERO, ZERO),
        (true, _) => {
            let end = prefix_end(&key);
            (key, end)
        }
        (false, true) => (key, ZERO),
    }
}

/// Returns the end of the range of all keys that begin with `prefix`: the next key of that length, or no end where there
/// is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let Some(last) = prefix.iter().rposition(|byte| *byte < 0xff) else { return ZERO };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_of_its_length() {
        for (prefix, end) in [(&b"a"[..], &b"b"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")] {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }
}
