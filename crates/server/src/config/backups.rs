//! `--backup-*`: where backups go, how often, and what is kept of them.

use std::path::PathBuf;
use std::time::Duration;

use archive::{Address, Keep, S3Options};

use super::{ConfigError, Nanos, Settings, parse_go_duration};

/// Shortest time between two backups, full or of a piece: the member looks once a second what is
/// due.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Backups that the leader makes by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backups {
    /// Where they go.
    pub to: Address,
    /// How a store of S3 is reached.
    pub s3: S3Options,
    /// Time from one full backup to the next.
    pub interval: Duration,
    /// Time from one piece of history to the next; `None`: there are none.
    pub piece_interval: Option<Duration>,
    /// What is kept.
    pub keep: Keep,
}

impl Backups {
    /// Reads the flags; `None`: there are no backups.
    ///
    /// # Errors
    /// What makes no sense, and which flag says it.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Backups>, ConfigError> {
        let to = settings.text("backup-to");
        if to.is_empty() {
            return without_a_place(settings);
        }
        let refused =
            |name: &str, why: String| ConfigError::Invalid(format!("{}: {why}", settings.get(name).origin()));
        let to = Address::parse(to).map_err(|error| refused("backup-to", error.to_string()))?;
        let keep = Keep::parse(settings.text("backup-keep"), parse_go_duration);
        let keep = keep.map_err(|error| refused("backup-keep", error.to_string()))?;
        let piece_interval = match settings.duration("backup-piece-interval") {
            Nanos(0) => None,
            _ => Some(interval(settings, "backup-piece-interval")?),
        };
        let text = |name: &str| Some(settings.text(name).to_owned()).filter(|text| !text.is_empty());
        let s3 = S3Options {
            endpoint: text("backup-s3-endpoint"),
            region: text("backup-s3-region"),
            credentials_file: text("backup-credentials-file").map(PathBuf::from),
            ca_file: text("backup-s3-ca-file").map(PathBuf::from),
        };
        let interval = interval(settings, "backup-interval")?;
        Ok(Some(Backups { to, s3, interval, piece_interval, keep }))
    }
}

/// Without a place, none of the other flags means anything: whoever sets one has forgotten
/// something.
fn without_a_place(settings: &Settings) -> Result<Option<Backups>, ConfigError> {
    let others = settings.iter().filter(|setting| setting.flag.name.starts_with("backup-"));
    match others.into_iter().find(|setting| setting.is_changed()) {
        None => Ok(None),
        Some(other) => {
            let what = format!("{} is set, and --backup-to is not: it says where backups go", other.origin());
            Err(ConfigError::Invalid(what))
        }
    }
}

fn interval(settings: &Settings, name: &str) -> Result<Duration, ConfigError> {
    let Nanos(nanos) = settings.duration(name);
    let given = u64::try_from(nanos).ok().map(Duration::from_nanos);
    given.filter(|given| *given >= INTERVAL_MIN).ok_or_else(|| {
        let origin = settings.get(name).origin();
        ConfigError::Invalid(format!("{origin} must be at least 1s (set to {})", Nanos(nanos)))
    })
}
