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

#[cfg(test)]
mod tests {
    use super::Console;
    use crate::config::{Config, Invocation};

    fn of(flags: &[&str]) -> Result<Console, String> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        match Config::load(&flags, &[]).map_err(|error| error.to_string())? {
            Invocation::Serve(config) => Ok(config.console),
            Invocation::Print(text) => Err(text),
        }
    }

    #[test]
    fn the_flag_and_the_gateway_decide_together() {
        let without = "--enable-grpc-gateway=false";
        assert_eq!(of(&[]), Ok(Console::Auto));
        assert_eq!(of(&["--console=auto"]), Ok(Console::Auto));
        assert_eq!(of(&["--console=on"]), Ok(Console::On));
        assert_eq!(of(&["--console=off"]), Ok(Console::Off));
        assert_eq!(of(&[without]), Ok(Console::Off));
        assert_eq!(of(&["--console=off", without]), Ok(Console::Off));
        let refusal = of(&["--console=on", without]).unwrap_err();
        assert!(refusal.contains("--console=on needs the JSON gateway"), "{refusal}");
        let refusal = of(&["--console=yes"]).unwrap_err();
        assert!(refusal.contains("invalid value \"yes\" for flag -console"), "{refusal}");
    }
}
