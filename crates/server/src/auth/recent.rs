//! Passwords that were right a moment ago.
//!
//! A thousand processes that start again log in with one user and one password, and a script does so with each call. One slow
//! hash answers them all: for a short time what was compared and found equal is known by a fast digest. Wrong passwords and
//! names of nobody are not known, and cost a slow hash each, as ever: guessing does not become cheaper.
//!
//! The digest is keyed with a secret of this process and covers the slow hash of the user: another password of the user, or
//! another salt, is another digest. Nothing of it is written anywhere. Whoever reads this process's memory can try passwords
//! against it faster than against the slow hash; that is why it is forgotten soon.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use crate::limits::PASSWORDS_RECENT_MAX;
use crate::random::{self, NoRandomness};

/// How long a password counts as recently compared, from the comparison on, however often it is used.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Digest of a password and of the slow hash that it fits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Proof([u8; 32]);

/// The right passwords of the last minute.
pub(super) struct Recent {
    key: hmac::Key,
    /// When each was compared.
    compared: Mutex<HashMap<Proof, Instant>>,
}

impl Recent {
    /// Returns an empty set with a new secret.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        random::fill_secret(&mut secret)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        secret.fill(0);
        std::hint::black_box(&secret);
        Ok(Self { key, compared: Mutex::default() })
    }

    /// Returns the digest under which this password is known for a user with this hash.
    pub(super) fn proof(&self, password: &[u8], hashed: &[u8]) -> Proof {
        let mut context = hmac::Context::with_key(&self.key);
        // The length keeps apart what comes one behind the other.
        context.update(&(hashed.len() as u64).to_le_bytes());
        context.update(hashed);
        context.update(password);
        let mut proof = [0; 32];
        proof.copy_from_slice(context.sign().as_ref());
        Proof(proof)
    }

    /// Whether the password was compared and right within the last minute before `now`.
    pub(super) fn contains(&self, proof: &Proof, now: Instant) -> bool {
        let mut compared = self.compared.lock();
        compared.retain(|_, at| is_recent(*at, now));
        compared.contains_key(proof)
    }

    /// Notes that the password was compared and right. Beyond [`PASSWORDS_RECENT_MAX`] nothing more is noted.
    pub(super) fn insert(&self, proof: Proof, now: Instant) {
        let mut compared = self.compared.lock();
        compared.retain(|_, at| is_recent(*at, now));
        if compared.len() < PASSWORDS_RECENT_MAX {
            compared.insert(proof, now);
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < KNOWN_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_with_its_hash_and_for_a_minute_whoever_uses_it() {
        let recent = Recent::new().unwrap();
        let start = Instant::now();
        let proof = recent.proof(b"secret", b"hash");
        assert!(!recent.contains(&proof, start));
        recent.insert(proof, start);
        assert!(recent.contains(&proof, start));
        for (password, hashed) in [(&b"other"[..], &b"hash"[..]), (b"secret", b"hash2"), (b"hsecret", b"has")]
        {
            assert!(!recent.contains(&recent.proof(password, hashed), start));
        }
        let almost = start + KNOWN_FOR - Duration::from_millis(1);
        assert!(recent.contains(&proof, almost));
        assert!(!recent.contains(&proof, start + KNOWN_FOR), "its use does not make it last");
        assert!(recent.compared.lock().is_empty());
    }

    #[test]
    fn another_process_has_another_secret() {
        let [one, other] = [Recent::new().unwrap(), Recent::new().unwrap()];
        assert!(one.proof(b"secret", b"hash") != other.proof(b"secret", b"hash"));
    }

    #[test]
    fn they_are_bounded_and_old_ones_give_way_to_new_ones() {
        let recent = Recent::new().unwrap();
        let start = Instant::now();
        let proof = |number: usize| recent.proof(&number.to_le_bytes(), b"hash");
        for number in 0..=PASSWORDS_RECENT_MAX {
            recent.insert(proof(number), start);
        }
        assert_eq!(recent.compared.lock().len(), PASSWORDS_RECENT_MAX);
        assert!(!recent.contains(&proof(PASSWORDS_RECENT_MAX), start));
        recent.insert(proof(PASSWORDS_RECENT_MAX), start + KNOWN_FOR);
        assert!(recent.contains(&proof(PASSWORDS_RECENT_MAX), start + KNOWN_FOR));
    }
}
