//! What is worth saying about a configuration that is valid: collected while it is read, logged once logging is set up.

use tracing::{info, warn};

/// Something an operator should find in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An environment variable set something.
    VariableUsed {
        /// The variable.
        variable: String,
        /// Its value (hidden where it is a secret).
        value: String,
    },
    /// An `ETCD_*` variable that belongs to no flag.
    UnknownVariable {
        /// The variable.
        variable: String,
    },
    /// `ETCD_VERSION` is set, which would make `--version` of every start.
    VersionVariable {
        /// Its value.
        value: String,
    },
    /// The configuration file was read; flags and environment do not count.
    FileLoaded {
        /// The file.
        path: String,
    },
    /// A key of the file that is no setting.
    UnknownFileKey {
        /// The key, steps joined by dots.
        key: String,
    },
    /// A setting that is accepted but changes nothing here.
    NoEffect {
        /// The setting, named as it was given.
        setting: String,
        /// Why.
        why: String,
    },
    /// A flag that etcd is going to drop.
    Deprecated {
        /// That, in etcd's words.
        text: &'static str,
    },
    /// `--name` was left at `default`.
    DefaultName,
    /// HTTP and gRPC share one port.
    OnePort,
    /// The data directory was derived from the name.
    DefaultDataDir {
        /// The directory.
        path: String,
    },
    /// `0.0.0.0` cannot be advertised: this host is, instead.
    AdvertisedHost {
        /// The host.
        host: String,
    },
    /// bcrypt does not have the cost that was asked for.
    BcryptCost {
        /// `--bcrypt-cost`.
        given: u64,
        /// What is used.
        used: u32,
    },
}

impl Notice {
    /// Returns what operators and tools search for when this flag is given.
    pub(super) fn of_flag(name: &str) -> Option<Notice> {
        let text = match name {
            "max-snapshots" => "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
            "v2-deprecation" => {
                "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring \
                 user input."
            }
            _ => return None,
        };
        Some(Notice::Deprecated { text })
    }

    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Notice::VariableUsed { variable, value } => {
                info!(
                    "variable-name" = variable,
                    "variable-value" = value,
                    "recognized and used environment variable"
                );
            }
            Notice::UnknownVariable { variable } => {
                warn!("environment-variable" = variable, "unrecognized environment variable");
            }
            Notice::VersionVariable { value } => {
                warn!(key = "ETCD_VERSION", value, "cannot set special environment variable");
            }
            Notice::FileLoaded { path } => info!(
                path,
                "loaded server configuration, other configuration command line flags and environment variables will be \
                 ignored if provided"
            ),
            Notice::UnknownFileKey { key } => warn!(key, "unrecognized key in the configuration file"),
            Notice::NoEffect { setting, why } => warn!(setting, why, "setting accepted, but without effect"),
            Notice::Deprecated { text } => warn!("{text}"),
            Notice::DefaultName => warn!(
                name = "default",
                "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into \
                 issue when multiple members have the same default name"
            ),
            Notice::OnePort => {
                warn!("Running http and grpc server on single port. This is not recommended for production.");
            }
            Notice::DefaultDataDir { path } => {
                warn!("data-dir" = path, "'data-dir' was empty; using default")
            }
            Notice::BcryptCost { given, used } => {
                warn!(
                    "given-cost" = given,
                    "using-cost" = used,
                    "use default bcrypt cost instead of the invalid given cost"
                );
            }
            Notice::AdvertisedHost { host } => info!(host, "detected default host for advertise"),
        }
    }
}
