//! How Go's `strconv` reads numbers and booleans, and what it says of those it refuses.

/// Why a text is no number, in the words of `strconv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Syntax,
    Range,
}

impl Fault {
    fn said_of(self, function: &str, text: &str) -> String {
        let what = match self {
            Fault::Syntax => "invalid syntax",
            Fault::Range => "value out of range",
        };
        format!("strconv.{function}: parsing {}: {what}", super::quote::quote(text.as_bytes()))
    }
}

/// Reads a decimal number, as `strconv.ParseInt(text, 10, 64)`.
///
/// # Errors
/// What `strconv` says.
pub fn parse_decimal(text: &str) -> Result<i64, String> {
    parse_signed(text, 10).map_err(|fault| fault.said_of("ParseInt", text))
}

/// Reads a hexadecimal number without prefix, as `strconv.ParseInt(text, 16, 64)`: the id of a lease.
///
/// # Errors
/// What `strconv` says.
pub fn parse_hexadecimal(text: &str) -> Result<i64, String> {
    parse_signed(text, 16).map_err(|fault| fault.said_of("ParseInt", text))
}

/// Reads an unsigned decimal number, as `strconv.ParseUint(text, 10, 64)`.
///
/// # Errors
/// What `strconv` says.
pub fn parse_unsigned(text: &str) -> Result<u64, String> {
    let value = parse_digits(text, 10).and_then(|value| u64::try_from(value).map_err(|_| Fault::Range));
    value.map_err(|fault| fault.said_of("ParseUint", text))
}

/// Reads an unsigned hexadecimal number without prefix, as `strconv.ParseUint(text, 16, 64)`: the id of a member.
///
/// # Errors
/// What `strconv` says.
pub fn parse_unsigned_hexadecimal(text: &str) -> Result<u64, String> {
    let value = parse_digits(text, 16).and_then(|value| u64::try_from(value).map_err(|_| Fault::Range));
    value.map_err(|fault| fault.said_of("ParseUint", text))
}

/// Reads a number of a flag, as `strconv.ParseInt(text, 0, 64)`: `10`, `0x1f`, `0o17`, `017`, `0b11`, `1_000`.
///
/// # Errors
/// What `strconv` says.
pub fn parse_flag(text: &str) -> Result<i64, String> {
    let (sign, digits) = split_sign(text);
    let (prefix, radix) = split_base(digits);
    let value = without_underscores(&digits[prefix..], prefix > 0)
        .ok_or(Fault::Syntax)
        .and_then(|digits| parse_signed(&format!("{sign}{digits}"), radix));
    value.map_err(|fault| fault.said_of("ParseInt", text))
}

/// Reads a boolean, as `strconv.ParseBool`.
///
/// # Errors
/// What `strconv` says.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Fault::Syntax.said_of("ParseBool", text)),
    }
}

fn parse_signed(text: &str, radix: u32) -> Result<i64, Fault> {
    let (sign, digits) = split_sign(text);
    let magnitude = parse_digits(digits, radix)?;
    i64::try_from(if sign == "-" { -magnitude } else { magnitude }).map_err(|_| Fault::Range)
}

fn parse_digits(digits: &str, radix: u32) -> Result<i128, Fault> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Fault::Syntax);
    }
    i128::from_str_radix(digits, radix).map_err(|_| Fault::Range)
}

fn split_sign(text: &str) -> (&str, &str) {
    if text.starts_with(['-', '+']) { text.split_at(1) } else { ("", text) }
}

/// The length of the base prefix, and the base.
fn split_base(digits: &str) -> (usize, u32) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (2, 16),
        [b'0', b'o' | b'O', ..] => (2, 8),
        [b'0', b'b' | b'B', ..] => (2, 2),
        [b'0', _, ..] => (1, 8),
        _ => (0, 10),
    }
}

/// Go allows `_` only between digits, or between a base prefix and a digit.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let leads = digits.starts_with('_') && !prefixed;
    if leads || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    Some(digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_flags_have_the_bases_of_go() {
        let cases = [("0", 0), ("10", 10), ("-1", -1), ("+5", 5), ("0x1F", 31), ("-0x10", -16), ("017", 15)];
        for (text, value) in cases.into_iter().chain([("0b101", 5), ("1_000", 1000), ("0x_ff", 255)]) {
            assert_eq!(parse_flag(text), Ok(value), "{text}");
        }
        for text in ["", "1__0", "_1", "1_", "08", "1s", " 1", "--1", "١"] {
            let said = format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
            assert_eq!(parse_flag(text), Err(said), "{text}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_said_to_be() {
        let range = |function: &str, text: &str| {
            Err(format!("strconv.{function}: parsing \"{text}\": value out of range"))
        };
        assert_eq!(parse_decimal("9223372036854775808"), range("ParseInt", "9223372036854775808"));
        assert_eq!(parse_hexadecimal("8000000000000000"), range("ParseInt", "8000000000000000"));
        let long = "f".repeat(40);
        let long_decimal = "18446744073709551616";
        assert_eq!(parse_unsigned(long_decimal), range("ParseUint", long_decimal).map(|_: i64| 0));
        assert_eq!(parse_unsigned("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_unsigned("-1"), Err("strconv.ParseUint: parsing \"-1\": invalid syntax".to_owned()));
        assert_eq!(parse_unsigned_hexadecimal(&long), range("ParseUint", &long).map(|_: i64| 0));
        assert_eq!(parse_hexadecimal("7fffffffffffffff"), Ok(i64::MAX));
        assert_eq!(parse_unsigned_hexadecimal("8e9e05c52164694d"), Ok(0x8e9e_05c5_2164_694d));
    }

    #[test]
    fn only_gos_words_are_booleans() {
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("0"), Ok(false));
        assert_eq!(parse_bool("yes"), Err("strconv.ParseBool: parsing \"yes\": invalid syntax".to_owned()));
    }
}
