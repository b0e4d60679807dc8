//! Hashing passwords with bcrypt, which is slow on purpose.
//!
//! Threads of their own do it, one hash after the other. Those for many clients that log in at once
//! give way to the threads that serve requests: such clients wait for each other, and nobody else
//! waits for them. A client that logs in while nobody else does has a thread that gives way to
//! nobody: on a machine that is busy with other things it would wait for these as well, until its
//! own deadline (etcdctl waits for two seconds). A password that was right within the last minute is not compared the slow way
//! again, see [`recent`](super::recent).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::Version;
use engine::{priority, spawn};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::recent::Recent;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_THREADS, PASSWORDS_WAITING_MAX};
use crate::random;

/// A password in plain text. Overwritten when it is dropped, and never printed (rule S6).
#[derive(Clone)]
pub(crate) struct Password(Vec<u8>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl Password {
    /// Returns what of it is compared with a hash: bcrypt looks at no more. Whoever tries to log in has nothing longer
    /// waiting.
    pub(crate) fn compared(self) -> Self {
        Self(self.0[..self.0.len().min(PASSWORD_BYTES_MAX)].to_vec())
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.fill(0);
        // The buffer is about to be freed: without a use of it the zeros would not be written.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// bcrypt looks at 72 bytes; Go's refuses more than that.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    /// Too many wait already.
    #[error("etcdserver: too many requests")]
    Busy,
    /// The member stops, or the system has no randomness.
    #[error("etcdserver: server stopped")]
    Stopped,
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that hash, and how much work a hash is.
pub(crate) struct Passwords {
    /// To the thread that gives way to nobody, if it waits.
    alone: SyncSender<Job>,
    /// To those that give way.
    jobs: SyncSender<Job>,
    /// How many were sent to those and are not done: at most [`UNFINISHED_MAX`].
    unfinished: Arc<AtomicUsize>,
    recent: Arc<Recent>,
    cost: u32,
}

/// Jobs that are being done or wait, without the one of the thread that is for a client that comes alone. Counted, and not
/// left to the queue's length: whether a thread has taken its first job yet makes no difference to who is refused.
const UNFINISHED_MAX: usize = PASSWORD_THREADS + PASSWORDS_WAITING_MAX;

/// Counts a job among the unfinished for as long as it lives.
struct Unfinished(Arc<AtomicUsize>);

impl Unfinished {
    /// Returns the count of one more job, or nothing when there are as many as may be.
    fn among(others: &Arc<AtomicUsize>) -> Option<Self> {
        let one_more = |count| (count < UNFINISHED_MAX).then_some(count + 1);
        others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(others.clone()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn start(cost: u32) -> std::io::Result<Arc<Self>> {
        // Takes a job if the thread waits for one, and none otherwise.
        let (alone, queue_of_one) = sync_channel(0);
        spawn::thread("password", move || work(&Mutex::new(queue_of_one)))?;
        let (jobs, queue) = sync_channel(UNFINISHED_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..PASSWORD_THREADS {
            let queue = queue.clone();
            spawn::thread(&format!("passwords {number}"), move || {
                priority::stand_back();
                work(&queue);
            })?;
        }
        let recent = Arc::new(Recent::new().map_err(std::io::Error::other)?);
        Ok(Arc::new(Self { alone, jobs, unfinished: Arc::default(), recent, cost }))
    }

    /// Returns what a command has for a password: bcrypt's text in Base64.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub(crate) async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        if password.0.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let cost = self.cost;
        self.run(move || hash(&password, cost)).await?.map(|text| STANDARD.encode(text))
    }

    /// Returns whether the password is the one of the hash. Without a hash it is not, and finding
    /// that out takes as long: who asks does not learn which users there are.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub(crate) async fn is_right(
        &self,
        password: Password,
        of_user: Option<Vec<u8>>,
    ) -> Result<bool, PasswordError> {
        let Some(hashed) = of_user else {
            let cost = self.cost;
            return self.run(move || hash(&password, cost).is_err()).await;
        };
        let proof = self.recent.proof(&password.0, &hashed);
        if self.recent.contains(&proof, Instant::now()) {
            return Ok(true);
        }
        let recent = self.recent.clone();
        self.run(move || {
            // Of many who came at once with the same, the first may have been served meanwhile.
            if recent.contains(&proof, Instant::now()) {
                return true;
            }
            let is_right = fits(&password, &hashed);
            if is_right {
                recent.insert(proof, Instant::now());
            }
            is_right
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (answer, answered) = oneshot::channel();
        // A caller that has gone away does not need it any more.
        let job = move || {
            if !answer.is_closed() {
                let _ = answer.send(work());
            }
        };
        self.send(Box::new(job))?;
        answered.await.map_err(|_| PasswordError::Stopped)
    }

    fn send(&self, job: Job) -> Result<(), PasswordError> {
        let mut job = job;
        if self.unfinished.load(Ordering::Relaxed) == 0 {
            match self.alone.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => job = back,
            }
        }
        let unfinished = Unfinished::among(&self.unfinished).ok_or(PasswordError::Busy)?;
        let counted = move || {
            let _unfinished = unfinished;
            job();
        };
        // As many fit into the queue as are counted.
        self.jobs.try_send(Box::new(counted)).map_err(|_| PasswordError::Stopped)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        // In a statement of its own: the lock is free again while the job is done.
        let job = queue.lock().recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Returns whether the password fits bcrypt's text.
fn fits(password: &Password, hashed: &[u8]) -> bool {
    std::str::from_utf8(hashed).is_ok_and(|hashed| bcrypt::verify(&password.0, hashed).unwrap_or(false))
}

/// Returns bcrypt's text, with the version that Go writes.
fn hash(password: &Password, cost: u32) -> Result<String, PasswordError> {
    let mut salt = [0; 16];
    random::fill_secret(&mut salt).map_err(|_| PasswordError::Stopped)?;
    let parts = bcrypt::hash_with_salt(&password.0, cost, salt).map_err(|_| PasswordError::Stopped)?;
    Ok(parts.format_for_version(Version::TwoA))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: u32 = 4;

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let passwords = Passwords::start(CHEAP).unwrap();
        for text in ["", "secret", "\u{fc}\0x", &"x".repeat(72)] {
            let hashed = STANDARD.decode(passwords.hash(password(text)).await.unwrap()).unwrap();
            assert!(hashed.starts_with(b"$2a$04$"));
            assert!(passwords.is_right(password(text), Some(hashed.clone())).await.unwrap());
            assert!(!passwords.is_right(password("other"), Some(hashed)).await.unwrap());
        }
        assert_eq!(passwords.hash(password(&"x".repeat(73))).await, Err(PasswordError::TooLong));
        assert!(!passwords.is_right(password("x"), None).await.unwrap());
        assert!(!passwords.is_right(password(""), Some(Vec::new())).await.unwrap());
        assert!(!passwords.is_right(password("x"), Some(b"$2a$04$short".to_vec())).await.unwrap());
    }

    /// Made with golang.org/x/crypto/bcrypt.
    #[tokio::test]
    async fn a_hash_of_gos_is_understood() {
        let passwords = Passwords::start(CHEAP).unwrap();
        let hashed = b"$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga".to_vec();
        assert!(passwords.is_right(password("allmine"), Some(hashed)).await.unwrap());
    }

    /// The name of the thread that does a job, once the job may go on.
    fn held(passwords: &Arc<Passwords>) -> (std::sync::mpsc::Sender<()>, oneshot::Receiver<String>) {
        let (go_on, wait) = std::sync::mpsc::channel();
        let (name, named) = oneshot::channel();
        let job = move || {
            let _ = wait.recv();
            let _ = name.send(std::thread::current().name().unwrap_or_default().to_owned());
        };
        passwords.send(Box::new(job)).expect("there is room");
        (go_on, named)
    }

    #[tokio::test]
    async fn a_thread_that_gives_way_to_nobody_is_for_one_who_comes_alone() {
        let passwords = Passwords::start(CHEAP).unwrap();
        // As soon as the thread waits.
        let first = loop {
            let (go_on, named) = held(&passwords);
            if passwords.unfinished.load(Ordering::Relaxed) == 0 {
                break (go_on, named);
            }
            drop(go_on);
            named.await.unwrap();
            tokio::task::yield_now().await;
        };
        let second = held(&passwords);
        drop(first.0);
        assert!(first.1.await.unwrap().ends_with("password"));
        // The second is not done, so the third does not come alone.
        let third = held(&passwords);
        for (go_on, named) in [second, third] {
            drop(go_on);
            let name = named.await.unwrap();
            assert!(name.contains("passwords "), "{name}");
        }
    }

    /// The jobs that are refused are the same however many of the others a thread has taken.
    #[tokio::test]
    async fn as_many_as_may_are_unfinished_and_no_more() {
        let passwords = Passwords::start(CHEAP).unwrap();
        let mut all = vec![held(&passwords)];
        // The first may have come alone, to the thread for such.
        while passwords.unfinished.load(Ordering::Relaxed) < UNFINISHED_MAX {
            all.push(held(&passwords));
        }
        let refused = |_| passwords.send(Box::new(|| ())) == Err(PasswordError::Busy);
        assert!((0..PASSWORD_THREADS + 1).all(refused));
        for (go_on, named) in all {
            drop(go_on);
            named.await.unwrap();
        }
        assert!(!passwords.is_right(password("x"), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_was_right_a_moment_ago_waits_for_nobody() {
        let passwords = Passwords::start(CHEAP).unwrap();
        let hashed = STANDARD.decode(passwords.hash(password("secret")).await.unwrap()).unwrap();
        let other = STANDARD.decode(passwords.hash(password("secret")).await.unwrap()).unwrap();
        let is_right = |text, hashed: &[u8]| passwords.is_right(password(text), Some(hashed.to_vec()));
        assert!(is_right("secret", &hashed).await.unwrap());
        assert!(!is_right("wrong", &hashed).await.unwrap());
        let mut all = vec![held(&passwords)];
        while passwords.unfinished.load(Ordering::Relaxed) < UNFINISHED_MAX {
            all.push(held(&passwords));
        }
        assert_eq!(is_right("secret", &hashed).await, Ok(true));
        assert_eq!(is_right("wrong", &hashed).await, Err(PasswordError::Busy), "it was never right");
        assert_eq!(is_right("secret", &other).await, Err(PasswordError::Busy), "it was hashed anew");
        assert_eq!(passwords.is_right(password("secret"), None).await, Err(PasswordError::Busy));
        for (go_on, named) in all {
            drop(go_on);
            named.await.unwrap();
        }
    }

    #[tokio::test]
    async fn more_than_is_compared_makes_no_difference_and_is_not_kept() {
        let passwords = Passwords::start(CHEAP).unwrap();
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        let hashed = STANDARD.decode(passwords.hash(password(&longest)).await.unwrap()).unwrap();
        let longer = password(&format!("{longest}y"));
        assert!(passwords.is_right(longer.clone(), Some(hashed.clone())).await.unwrap());
        let compared = longer.compared();
        assert_eq!(compared.0.len(), PASSWORD_BYTES_MAX);
        assert!(passwords.is_right(compared, Some(hashed)).await.unwrap());
        assert_eq!(password("short").compared().0, b"short");
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", password("secret")), "Password(..)");
    }
}
