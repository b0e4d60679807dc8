//! `--console`: who gets the web console.

use super::error::ConfigError;
use super::settings::Settings;

/// Who gets the web console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// Everybody while requests need a user; otherwise only the machine on which the member runs.
    Auto,
    /// Everybody.
    On,
    /// Nobody.
    Off,
}

impl Console {
    /// Reads the flag. Without the gateway, which the console's pages call, there is no console.
    ///
    /// # Errors
    /// The console is asked for, and the gateway is turned off.
    pub(super) fn from_settings(settings: &Settings) -> Result<Console, ConfigError> {
        let has_gateway = settings.bool("enable-grpc-gateway");
        match (settings.text("console"), has_gateway) {
            ("on", true) => Ok(Console::On),
            ("on", false) => Err(ConfigError::Invalid(format!(
                "{}=on needs the JSON gateway: --enable-grpc-gateway must not be false",
                settings.get("console").origin()
            ))),
            ("off", _) | (_, false) => Ok(Console::Off),
            (_, true) => Ok(Console::Auto),
        }
    }
}
