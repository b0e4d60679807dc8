//! `ETCD_*` environment variables: one for each flag, below the command line in rank.
//!
//! etcd does not let a variable lose silently against a flag: the same setting given both ways stops the process. A variable
//! that is set to nothing counts as unset, but still conflicts.

use super::error::ConfigError;
use super::notice::Notice;
use super::settings::{Settings, Source};
use super::table;

/// The variable that holds the path of the configuration file.
pub(super) const CONFIG_FILE: &str = "ETCD_CONFIG_FILE";

/// Variables that belong to etcd without being a flag's.
const KNOWN_OTHERS: &[&str] = &["ETCD_UNSUPPORTED_ARCH"];

/// Fills in what the command line left open. `variables` is the process's environment.
pub(super) fn apply(
    settings: &mut Settings,
    variables: &[(String, String)],
    notices: &mut Vec<Notice>,
) -> Result<(), ConfigError> {
    for (variable, value) in variables.iter().filter(|(variable, _)| variable.starts_with("ETCD_")) {
        let Some(flag) = table::flags().find(|flag| flag.variable() == *variable) else {
            if !KNOWN_OTHERS.contains(&variable.as_str()) {
                notices.push(Notice::UnknownVariable { variable: variable.clone() });
            }
            continue;
        };
        if flag.name == "version" {
            notices.push(Notice::VersionVariable { value: value.clone() });
            continue;
        }
        if settings.source(flag.name) == Source::CommandLine {
            return Err(ConfigError::Conflict { variable: variable.clone() });
        }
        if value.is_empty() {
            continue;
        }
        let parsed = flag.kind.parse(value).map_err(|source| ConfigError::Environment {
            variable: variable.clone(),
            value: value.clone(),
            source,
        })?;
        settings.set(flag, parsed, Source::Environment);
        notices.push(Notice::VariableUsed {
            variable: variable.clone(),
            value: flag.loggable(value).to_owned(),
        });
    }
    Ok(())
}

impl table::Flag {
    /// The value as it may stand in a log: passwords may not.
    fn loggable<'v>(&self, value: &'v str) -> &'v str {
        if self.name.contains("password") || self.name == "discovery-user" { "<hidden>" } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_flag_has_a_variable() {
        let names = ["data-dir", "listen-client-urls", "unsafe-no-fsync"];
        let variables: Vec<_> = names.iter().map(|name| table::find(name).unwrap().variable()).collect();
        assert_eq!(variables, ["ETCD_DATA_DIR", "ETCD_LISTEN_CLIENT_URLS", "ETCD_UNSAFE_NO_FSYNC"]);
    }

    #[test]
    fn a_variable_fills_in_what_no_flag_sets() {
        let mut settings = Settings::default();
        let mut notices = Vec::new();
        let variables = environment(&[("ETCD_NAME", "a"), ("ETCD_DATA_DIR", ""), ("PATH", "/bin")]);
        apply(&mut settings, &variables, &mut notices).unwrap();
        assert_eq!((settings.text("name"), settings.source("name")), ("a", Source::Environment));
        assert_eq!(settings.source("data-dir"), Source::Default);
        let used = Notice::VariableUsed { variable: "ETCD_NAME".into(), value: "a".into() };
        assert_eq!(notices, [used]);
    }

    #[test]
    fn a_variable_beside_its_flag_is_a_conflict_even_when_empty() {
        for value in ["", "b"] {
            let mut settings = Settings::default();
            let flag = table::find("name").unwrap();
            settings.set(flag, flag.kind.parse("a").unwrap(), Source::CommandLine);
            let error =
                apply(&mut settings, &environment(&[("ETCD_NAME", value)]), &mut Vec::new()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(
                    "conflicting environment variable is shadowed by corresponding command-line flag"
                ),
                "{text}"
            );
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn a_bad_value_names_the_variable() {
        let variables = environment(&[("ETCD_SNAPSHOT_COUNT", "many")]);
        let error = apply(&mut Settings::default(), &variables, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "invalid value \"many\" for ETCD_SNAPSHOT_COUNT: parse error");
    }

    #[test]
    fn unknown_variables_are_reported_and_nothing_else() {
        let mut notices = Vec::new();
        let variables =
            environment(&[("ETCD_NOSUCH", "1"), ("ETCD_VERSION", "3"), ("ETCD_UNSUPPORTED_ARCH", "arm")]);
        apply(&mut Settings::default(), &variables, &mut notices).unwrap();
        let expected = [
            Notice::UnknownVariable { variable: "ETCD_NOSUCH".into() },
            Notice::VersionVariable { value: "3".into() },
        ];
        assert_eq!(notices, expected);
    }

    #[test]
    fn passwords_do_not_reach_the_log() {
        let mut notices = Vec::new();
        apply(&mut Settings::default(), &environment(&[("ETCD_DISCOVERY_PASSWORD", "secret")]), &mut notices)
            .unwrap();
        assert!(!format!("{notices:?}").contains("secret"));
    }
}
