//! What writers write to.

use testkit::Random;

/// Keys that all writers write to.
pub(crate) const KEYS: usize = 40;

pub(crate) fn key(random: &mut Random) -> String {
    format!("key/{}", random.below(KEYS))
}

pub(crate) fn two_keys(random: &mut Random) -> (String, String) {
    let first = random.below(KEYS);
    let second = (first + 1 + random.below(KEYS - 1)) % KEYS;
    (format!("key/{first}"), format!("key/{second}"))
}
