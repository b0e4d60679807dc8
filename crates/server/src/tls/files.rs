//! The files of a side: read at the start, and again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::TlsError;
use super::facts::{date, unix_seconds};
use super::load::{self, Content, KeyPair};
use super::material::{Change, Dated, Material, Watched};
use super::policy::Policy;
use super::revocation::Revoked;
use super::roots::Roots;
use crate::config::tls::{KeyFiles, TlsSide};
use crate::metrics::Metrics;

/// Certificates that end within this many days are warned of.
const WARN_DAYS: i64 = 30;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The files of one side. Whoever needs what is in them asks [`Files::current`] each time.
pub(crate) struct Files {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

struct State {
    own: Option<Watched<KeyPair>>,
    outgoing: Option<Watched<KeyPair>>,
    roots: Option<Watched<Roots>>,
    revoked: Option<Watched<Revoked>>,
    material: Arc<Material>,
}

impl Files {
    /// Reads all files of a side.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub(crate) fn open(
        side: &TlsSide,
        policy: &Policy,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Files>, TlsError> {
        let now = SystemTime::now();
        let pair =
            |files: &Option<KeyFiles>| files.as_ref().map(|files| watch_pair(files, policy, now)).transpose();
        let one = |path: &Option<PathBuf>| path.clone().map(|path| vec![path]);
        let roots = one(&side.trusted_ca)
            .map(|paths| Watched::new(paths, Content::read, |contents| load::roots(&contents[0]), now));
        let revoked = one(&side.crl).map(|paths| {
            Watched::new(paths, Content::read_long, |contents| load::revoked(&contents[0]), now)
        });
        let (own, outgoing) = (pair(&side.own)?, pair(&side.outgoing)?);
        let (roots, revoked) = (roots.transpose()?, revoked.transpose()?);
        let material = Arc::new(Material {
            own: value_of(&own),
            outgoing: value_of(&outgoing),
            trusted: value_of(&roots),
            revoked: value_of(&revoked),
        });
        let files = Files { state: Mutex::new(State { own, outgoing, roots, revoked, material }), metrics };
        files.report_ends();
        Ok(Arc::new(files))
    }

    /// What is in the files now. Reads again what has changed.
    pub(crate) fn current(&self) -> Arc<Material> {
        let now = SystemTime::now();
        let mut state = self.state.lock();
        let State { own, outgoing, roots, revoked, material } = &mut *state;
        let changed = [
            self.refresh(own, now),
            self.refresh(outgoing, now),
            self.refresh(roots, now),
            self.refresh(revoked, now),
        ];
        if changed.contains(&true) {
            *material = Arc::new(Material {
                own: value_of(own),
                outgoing: value_of(outgoing),
                trusted: value_of(roots),
                revoked: value_of(revoked),
            });
        }
        material.clone()
    }

    /// Returns whether the files have changed and were taken.
    fn refresh<T: Dated>(&self, watched: &mut Option<Watched<T>>, now: SystemTime) -> bool {
        let Some(watched) = watched else { return false };
        let file = watched.path().display().to_string();
        match watched.refresh(now) {
            Change::None => false,
            Change::Taken => {
                self.metrics.tls.reloads.inc();
                tracing::info!(file, kind = T::WHAT, "TLS file has changed, and was read again");
                self.note_end(watched, now);
                true
            }
            Change::Refused(error) => {
                self.metrics.tls.reload_failures.inc();
                let error = error.to_string();
                tracing::error!(
                    file,
                    kind = T::WHAT,
                    error,
                    "TLS file has changed, but cannot be used; what was in it before is used on"
                );
                false
            }
        }
    }

    /// Warns of whatever ends soon, and has the metrics show when. Call it once a day.
    pub(crate) fn report_ends(&self) {
        let now = SystemTime::now();
        let state = self.state.lock();
        for pair in [&state.own, &state.outgoing].into_iter().flatten() {
            self.note_end(pair, now);
        }
        state.roots.iter().for_each(|roots| self.note_end(roots, now));
        state.revoked.iter().for_each(|revoked| self.note_end(revoked, now));
    }

    fn note_end<T: Dated>(&self, watched: &Watched<T>, now: SystemTime) {
        let Some(validity) = watched.value().validity() else { return };
        let (file, now) = (watched.path().display().to_string(), unix_seconds(now));
        self.metrics.tls.ends.set(&file, T::WHAT, validity.not_after);
        let (kind, until) = (T::WHAT, date(validity.not_after));
        let days = (validity.not_after - now).div_euclid(DAY_SECONDS);
        if now > validity.not_after {
            tracing::error!(file, kind, until, "TLS file has expired");
        } else if now < validity.not_before {
            let from = date(validity.not_before);
            tracing::error!(file, kind, from, "TLS file is not valid yet");
        } else if days < WARN_DAYS {
            tracing::warn!(file, kind, until, days, "TLS file expires soon");
        }
    }
}

fn watch_pair(
    files: &KeyFiles,
    policy: &Policy,
    now: SystemTime,
) -> Result<Watched<KeyPair>, load::LoadError> {
    let provider = policy.provider.clone();
    let parse = move |contents: &[Content]| load::key_pair(&contents[0], &contents[1], &provider);
    let read = |path: &Path| Content::read(path);
    Watched::new(vec![files.cert.clone(), files.key.clone()], read, parse, now)
}

fn value_of<T: Dated>(watched: &Option<Watched<T>>) -> Option<Arc<T>> {
    watched.as_ref().map(|watched| watched.value().clone())
}
