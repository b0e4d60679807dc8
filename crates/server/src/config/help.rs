//! `--help`, made from the table of flags.

use super::table::{GROUPS, Standing};
use super::value::Kind;

/// The short form, printed on stderr behind a command line that cannot be read.
pub const USAGE: &str = "Usage:

  quorate [flags]
    Start a member.

  quorate gateway start [flags]
    Pass TCP connections on to the members of a cluster.

  quorate grpc-proxy start [flags]
    Serve the API in front of a cluster, with many watches as one.

  quorate --version
    Show the version.

  quorate -h | --help
    Show all flags.

  quorate --config-file path
    Take all settings from a YAML or JSON file; flags and environment variables are then ignored. Durations in the
    file are texts (10m), or whole numbers of nanoseconds (600000000000).
";

/// The whole help text.
pub fn text() -> String {
    let mut out = String::from(USAGE);
    out.push_str(
        "\nEvery flag can be given as an environment variable: --data-dir as ETCD_DATA_DIR. Flags are those of etcd 3.7.\n",
    );
    for group in GROUPS {
        out.push_str(&format!("\n{}:\n", group.title));
        for flag in group.flags {
            let default = match flag.kind {
                Kind::Discarded => String::new(),
                _ => format!(" '{}'", flag.default),
            };
            out.push_str(&format!("  --{}{default}\n", flag.name));
            if !flag.help.is_empty() {
                out.push_str(&format!("    {}\n", flag.help));
            }
            match flag.standing {
                Standing::NoEffect(why) => out.push_str(&format!("    Accepted without effect: {why}.\n")),
                Standing::Served | Standing::Ignored => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_flag_and_what_has_no_effect() {
        let text = text();
        for flag in super::super::table::flags() {
            assert!(text.contains(&format!("  --{}", flag.name)), "--{}", flag.name);
        }
        assert!(text.contains("--heartbeat-interval '100'\n    Time between heartbeats, in milliseconds.\n"));
        assert!(text.contains("Accepted without effect: the store is not bbolt"));
    }
}
