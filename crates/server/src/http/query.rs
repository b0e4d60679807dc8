//! The query of a URL: `?exclude=NOSPACE&verbose`.

/// The values of `name`, decoded, in order. A name without `=` has the empty value.
pub(super) fn values(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value)).collect()
}

/// Undoes form encoding: `+` is a blank, `%41` a byte. What is not well formed stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| first == b'%').and_then(hex);
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| (digit as char).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_found_and_decoded() {
        let query = Some("exclude=NOSPACE&verbose&exclude=a%2Db+c&x=1&exclude=&exclude=%zz%4");
        assert_eq!(values(query, "exclude"), ["NOSPACE", "a-b c", "", "%zz%4"]);
        assert_eq!(values(query, "verbose"), [""]);
        assert!(values(query, "nosuch").is_empty());
        assert!(values(None, "exclude").is_empty());
    }
}
