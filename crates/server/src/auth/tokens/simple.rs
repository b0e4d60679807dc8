//! Simple tokens: sixteen random letters, a dot, and the index of the command.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::SIMPLE_TOKENS_MAX;
use crate::random::{self, NoRandomness};

/// Letters in front of the index, as in etcd: 91 bits.
const PREFIX_LETTERS: usize = 16;

/// etcd's.
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What `--auth-token-ttl=0` means.
const TTL_DEFAULT: Duration = Duration::from_secs(300);

/// Fewest tokens for which it is worth looking for expired ones.
const SWEEP_MIN: usize = 1024;

/// Returns the random part of a token.
pub(super) fn prefix() -> Result<String, NoRandomness> {
    let mut letters = String::with_capacity(PREFIX_LETTERS);
    let mut bytes = [0; 2 * PREFIX_LETTERS];
    while letters.len() < PREFIX_LETTERS {
        random::fill_secret(&mut bytes)?;
        // The largest multiple of 52 that fits a byte: beyond it, some letters would be likelier.
        let fair = bytes.iter().filter(|byte| **byte < 208);
        let missing = PREFIX_LETTERS - letters.len();
        letters
            .extend(fair.take(missing).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])));
    }
    Ok(letters)
}

/// Returns the index in a token.
pub(super) fn index_of(token: &str) -> Option<u64> {
    let (_, index) = token.split_once('.')?;
    index.parse().ok()
}

struct Entry {
    user: Arc<str>,
    expires: Instant,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Box<str>, Entry>,
    /// How many there may be before expired ones are looked for again.
    sweep_at: usize,
}

/// The tokens that are valid on this member.
pub(crate) struct SimpleTokens {
    ttl: Duration,
    table: Mutex<Table>,
}

impl SimpleTokens {
    pub(super) fn new(ttl: Duration) -> Self {
        let ttl = if ttl.is_zero() { TTL_DEFAULT } else { ttl };
        Self { ttl, table: Mutex::default() }
    }

    pub(super) fn add(&self, token: &str, user: Arc<str>) {
        self.add_at(token, user, Instant::now());
    }

    fn add_at(&self, token: &str, user: Arc<str>, now: Instant) {
        let mut table = self.table.lock();
        table.sweep(now);
        if table.entries.len() < SIMPLE_TOKENS_MAX {
            table.entries.insert(token.into(), Entry { user, expires: now + self.ttl });
        }
    }

    /// Returns whose token it is, and lets it live on.
    pub(super) fn user_of(&self, token: &str) -> Option<Arc<str>> {
        self.user_at(token, Instant::now())
    }

    fn user_at(&self, token: &str, now: Instant) -> Option<Arc<str>> {
        let mut table = self.table.lock();
        let entry = table.entries.get_mut(token)?;
        if entry.expires <= now {
            table.entries.remove(token);
            return None;
        }
        entry.expires = now + self.ttl;
        Some(entry.user.clone())
    }

    pub(super) fn forget_user(&self, user: &str) {
        self.table.lock().entries.retain(|_, entry| &entry.user[..] != user);
    }

    pub(super) fn forget_all(&self) {
        self.table.lock().entries.clear();
    }
}

impl Table {
    /// Drops what has expired, when there is twice as much as the last time.
    fn sweep(&mut self, now: Instant) {
        if self.entries.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.entries.retain(|_, entry| entry.expires > now);
        self.sweep_at = 2 * self.entries.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[test]
    fn a_token_lives_on_with_each_use_and_expires_without() {
        let tokens = SimpleTokens::new(TTL);
        let start = Instant::now();
        let user = |at: u64| tokens.user_at("a.1", start + Duration::from_secs(at));
        tokens.add_at("a.1", "u".into(), start);
        for at in [9, 18, 27] {
            assert_eq!(user(at).as_deref(), Some("u"), "after {at} s");
        }
        assert_eq!(user(37), None);
        assert_eq!(user(28), None, "what has expired does not come back");
    }

    #[test]
    fn tokens_are_taken_back() {
        let tokens = SimpleTokens::new(TTL);
        for (token, user) in [("a.1", "u"), ("b.2", "u"), ("c.3", "v")] {
            tokens.add(token, user.into());
        }
        tokens.forget_user("u");
        assert_eq!((tokens.user_of("a.1"), tokens.user_of("b.2")), (None, None));
        assert_eq!(tokens.user_of("c.3").as_deref(), Some("v"));
        tokens.forget_all();
        assert_eq!(tokens.user_of("c.3"), None);
    }

    #[test]
    fn expired_tokens_that_nobody_uses_are_dropped() {
        let tokens = SimpleTokens::new(TTL);
        let start = Instant::now();
        for number in 0..10 * SWEEP_MIN {
            let now = start + Duration::from_secs(number as u64);
            tokens.add_at(&format!("a.{number}"), "u".into(), now);
        }
        assert!(tokens.table.lock().entries.len() <= SWEEP_MIN);
    }

    #[test]
    fn a_prefix_is_sixteen_letters_and_no_other_has_the_same() {
        let prefixes: std::collections::BTreeSet<String> = (0..1000).map(|_| prefix().unwrap()).collect();
        assert_eq!(prefixes.len(), 1000);
        let is_fine = |prefix: &String| prefix.len() == 16 && prefix.bytes().all(|b| b.is_ascii_alphabetic());
        assert!(prefixes.iter().all(is_fine));
        assert_eq!(index_of("abc.17"), Some(17));
        assert_eq!((index_of("abc"), index_of("abc.x"), index_of("abc.-1")), (None, None, None));
    }
}
