//! The cluster that a mirror is made at: `--dest-*`.

use clap::{Arg, ArgMatches, Command as Grammar};
use proto::etcdserverpb::kv_client::KvClient;

use crate::ctl::connect::{self, Channel};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::global::{GLOBAL_FLAGS, GlobalFlag, Globals};
use crate::ctl::prompt;
use crate::go::duration::print_duration;

/// Returns the flags of the destination.
pub(super) fn flags() -> [Arg; 6] {
    [
        flags::text(
            "dest-cert",
            "Identify secure client using this TLS certificate file for the destination cluster",
        ),
        flags::text("dest-key", "Identify secure client using this TLS key file"),
        flags::text("dest-cacert", "Verify certificates of TLS enabled secure servers using this CA bundle"),
        flags::switch(
            "dest-insecure-transport",
            "Disable transport security for client connections (default true)",
        ),
        flags::text(
            "dest-user",
            "Destination username[:password] for authentication (prompt if password is not supplied)",
        ),
        flags::text(
            "dest-password",
            "Destination password for authentication (if this option is used, --user option shouldn't include password)",
        ),
    ]
}

/// The global flags that are the same for both clusters.
const DURATIONS: [&str; 4] = ["dial-timeout", "command-timeout", "keepalive-time", "keepalive-timeout"];
const SIZES: [&str; 2] = ["max-request-bytes", "max-recv-bytes"];

/// Returns a stub for the destination.
///
/// # Errors
/// When a file of TLS cannot be read, or the user is refused.
pub(super) async fn connect(
    globals: &Globals,
    matches: &ArgMatches,
    endpoint: &str,
) -> Result<KvClient<Channel>, Failure> {
    let line = line(globals, matches, endpoint)?;
    let grammar =
        Grammar::new("destination").no_binary_name(true).args(GLOBAL_FLAGS.iter().map(GlobalFlag::argument));
    let matches = grammar.try_get_matches_from(line).map_err(Failure::arguments)?;
    let client = connect::connect(&Globals::of(matches), vec![endpoint.to_owned()]).await?;
    Ok(KvClient::new(client.channel()))
}

/// Returns the global flags that mean for any cluster what `--dest-*` means for the destination.
fn line(globals: &Globals, matches: &ArgMatches, endpoint: &str) -> Result<Vec<String>, Failure> {
    let mut line = vec![format!("--endpoints={endpoint}")];
    for name in ["cert", "key", "cacert"] {
        let file = matches.text(&format!("dest-{name}")).filter(|file| !file.is_empty());
        line.extend(file.map(|file| format!("--{name}={file}")));
    }
    if matches.get_one("dest-insecure-transport") == Some(&false) {
        line.push("--insecure-transport=false".to_owned());
    }
    line.extend(DURATIONS.iter().map(|name| format!("--{name}={}", print_duration(globals.duration(name)))));
    line.extend(SIZES.iter().map(|name| format!("--{name}={}", globals.number(name))));
    let user = matches.text("dest-user").unwrap_or_default();
    let password = matches.text("dest-password").unwrap_or_default();
    if !user.is_empty() && !password.is_empty() {
        line.extend([format!("--user={user}"), format!("--password={password}")]);
    } else if user.contains(':') {
        line.push(format!("--user={user}"));
    } else if !user.is_empty() {
        line.push(format!("--user={user}:{}", prompt::password("Destination Password: ")?));
    }
    Ok(line)
}
