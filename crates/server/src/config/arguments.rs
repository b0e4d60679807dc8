//! The command line, read as Go's `flag` package reads it.
//!
//! One dash or two, `--name=value` or `--name value`, booleans that never take the next word, a lone `--` or the first word
//! without a dash ends the flags. clap cannot be made to read this exactly (it splits `-name` into short flags, takes
//! abbreviations of its own and words its errors its own way), and the rules are few; so they are written out here, over the table
//! of flags that everything else reads as well.

use super::error::{ConfigError, UsageError};
use super::settings::{Settings, Source};
use super::table;

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Arguments {
    /// `--help` or `-h`.
    Help,
    /// A run, with these flags set.
    Run(Settings),
}

/// Reads the arguments (without the program's name). The first error in the order of the line wins, as it does in Go.
pub(super) fn parse(arguments: &[String]) -> Result<Arguments, ConfigError> {
    let mut settings = Settings::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(body) = flag_body(argument)? else {
            return match argument.as_str() {
                "--" => rest.next().map_or(Ok(Arguments::Run(settings)), |word| positional(word)),
                word => positional(word),
            };
        };
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let flag = match (table::find(name), name) {
            (Some(flag), _) => flag,
            (None, "help" | "h") => return Ok(Arguments::Help),
            (None, _) => return Err(UsageError::Unknown(name.to_owned()).into()),
        };
        let text = match value {
            Some(value) => value,
            None if flag.kind.stands_alone() => "true".to_owned(),
            None => rest.next().ok_or(UsageError::MissingValue(flag.name))?.clone(),
        };
        let value = flag.kind.parse(&text).map_err(|error| UsageError::value(flag, text, error))?;
        settings.set(flag, value, Source::CommandLine);
    }
    Ok(Arguments::Run(settings))
}

/// The flag without its dashes; `None` when the word is not a flag and so ends them.
fn flag_body(argument: &str) -> Result<Option<&str>, UsageError> {
    if argument.len() < 2 || !argument.starts_with('-') || argument == "--" {
        return Ok(None);
    }
    let body = argument.strip_prefix("--").unwrap_or(&argument[1..]);
    if body.starts_with(['-', '=']) {
        return Err(UsageError::Syntax(argument.to_owned()));
    }
    Ok(Some(body))
}

fn positional(word: &str) -> Result<Arguments, ConfigError> {
    Err(ConfigError::Positional(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &[&str]) -> Result<Settings, ConfigError> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        match parse(&words)? {
            Arguments::Run(settings) => Ok(settings),
            Arguments::Help => panic!("asks for help"),
        }
    }

    #[test]
    fn values_follow_an_equals_sign_or_stand_alone() {
        for line in [
            ["--name=a", "--pre-vote=false"].as_slice(),
            &["-name", "a", "-pre-vote=F"],
            &["--name", "a", "--pre-vote=0", "--"],
        ] {
            let settings = settings(line).unwrap();
            assert_eq!((settings.text("name"), settings.bool("pre-vote")), ("a", false), "{line:?}");
            assert_eq!(settings.source("name"), Source::CommandLine);
            assert_eq!(settings.source("data-dir"), Source::Default);
        }
    }

    #[test]
    fn a_later_flag_wins_over_an_earlier_one() {
        assert_eq!(settings(&["--name=a", "--name=b"]).unwrap().text("name"), "b");
    }

    #[test]
    fn a_boolean_never_takes_the_next_word() {
        let error = settings(&["--pre-vote", "false"]).unwrap_err();
        assert_eq!(error.to_string(), "\"false\" is not a valid flag");
    }

    #[test]
    fn flags_of_the_past_are_taken_without_a_word() {
        assert!(
            settings(&["--v", "--snapshot", "--peer-heartbeat-interval=100", "--test.coverprofile=x"])
                .is_ok()
        );
    }

    #[test]
    fn help_is_asked_for_by_either_name() {
        for word in ["-h", "--h", "-help", "--help", "--help=x"] {
            assert!(matches!(parse(&[word.to_owned()]), Ok(Arguments::Help)), "{word}");
        }
    }

    #[test]
    fn errors_have_gos_words_and_etcds_exit_codes() {
        let cases = [
            (["--nosuch"].as_slice(), "flag provided but not defined: -nosuch", 2),
            (&["--discovery=x"], "flag provided but not defined: -discovery", 2),
            (
                &["--experimental-initial-corrupt-check"],
                "flag provided but not defined: -experimental-initial-corrupt-check",
                2,
            ),
            (&["--name"], "flag needs an argument: -name", 2),
            (&["---name"], "bad flag syntax: ---name", 2),
            (&["--=x"], "bad flag syntax: --=x", 2),
            (&["--pre-vote=yes"], "invalid boolean value \"yes\" for -pre-vote: parse error", 2),
            (&["--snapshot-count=-1"], "invalid value \"-1\" for flag -snapshot-count: parse error", 2),
            (
                &["--max-concurrent-streams=4294967296"],
                "invalid value \"4294967296\" for flag -max-concurrent-streams: value out of range",
                2,
            ),
            (
                &["--initial-cluster-state=old"],
                "invalid value \"old\" for flag -initial-cluster-state: invalid value",
                2,
            ),
            (
                &["--v2-deprecation=gone,not-yet"],
                "invalid value \"gone,not-yet\" for flag -v2-deprecation: invalid value \"not-yet\"",
                2,
            ),
            (
                &["--listen-client-urls=localhost:2379"],
                "invalid value \"localhost:2379\" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: localhost:2379",
                2,
            ),
            (
                &["--cors=http://good"],
                "invalid value \"http://good\" for flag -cors: URL address does not have the form \"host:port\": http://good",
                2,
            ),
            (&["start"], "\"start\" is not a valid flag", 1),
            (&["--", "x"], "\"x\" is not a valid flag", 1),
            (&["-"], "\"-\" is not a valid flag", 1),
            // A sub-command is the first word or none.
            (&["--name=a", "gateway", "start"], "\"gateway\" is not a valid flag", 1),
        ];
        for (line, text, code) in cases {
            let error = settings(line).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (text, code));
        }
    }
}
