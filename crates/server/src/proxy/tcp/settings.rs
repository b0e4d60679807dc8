//! What the flags of the gateway say, with the names in them looked up. What is wrong with them is said in etcd's words.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::StartError;
use super::super::discovery::Discovery;
use super::super::flags::Flags;
use super::remotes::Remote;

/// Everything that the gateway is told at its start.
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) remotes: Vec<Remote>,
    pub(super) retry_delay: Duration,
}

/// What a retry delay of nothing stands for, as in etcd.
const RETRY_DELAY: Duration = Duration::from_secs(5 * 60);

impl Settings {
    /// Reads the flags, and looks up what is to be found in the DNS.
    ///
    /// # Errors
    /// What etcd refuses.
    pub(super) async fn of(flags: &Flags) -> Result<Settings, StartError> {
        let discovered = match Discovery::of(flags, "trusted-ca-file") {
            Some(discovery) => discovery.endpoints().await.map_err(StartError::Failed)?,
            None => Vec::new(),
        };
        let remotes = match discovered.is_empty() {
            true => given(flags.list("endpoints"))?,
            false => discovered.into_iter().map(Remote::from).collect(),
        };
        let text = flags.text("listen-addr");
        let Some((host, port)) = host_port(text) else {
            return Err(StartError::Said(format!("failed to validate listen address: {text}")));
        };
        let own = look_up(&host).await;
        let Some(first) = own.first() else {
            return Err(StartError::Said(format!("failed to resolve listen host: {host}")));
        };
        for remote in &remotes {
            check(remote, &own, port, text).await?;
        }
        if remotes.is_empty() {
            return Err(StartError::Said("no endpoints found".to_owned()));
        }
        let delay = flags.duration("retry-delay");
        let retry_delay = if delay.is_zero() { RETRY_DELAY } else { delay };
        Ok(Settings { listen: SocketAddr::new(*first, port), remotes, retry_delay })
    }
}

/// Returns the endpoints that are given; with a scheme, what is behind it counts.
fn given(endpoints: &[String]) -> Result<Vec<Remote>, StartError> {
    let remote = |text: &String| {
        let place =
            text.split_once("://").map_or(text.as_str(), |(_, rest)| rest.split('/').next().unwrap_or(rest));
        let Some((host, port)) = host_port(place) else {
            return Err(StartError::Said(format!("error parsing endpoint {place:?}")));
        };
        Ok(Remote { host, port, priority: 0, weight: 0 })
    };
    endpoints.iter().map(remote).collect()
}

/// Refuses an endpoint that is the gateway itself, and one whose name is unknown.
async fn check(remote: &Remote, own: &[IpAddr], port: u16, listen: &str) -> Result<(), StartError> {
    let found = look_up(&remote.host).await;
    if found.is_empty() {
        return Err(StartError::Said(format!("failed to resolve endpoint host: {}", remote.host)));
    }
    let itself = found.iter().find(|address| remote.port == port && own.contains(address));
    itself.map_or(Ok(()), |address| {
        let Remote { host, port, .. } = remote;
        Err(StartError::Said(format!(
            "SRV or endpoint ({host}:{port}->{address}:{port}) should not resolve to the gateway listen addr ({listen})"
        )))
    })
}

async fn look_up(host: &str) -> Vec<IpAddr> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::super::flags::{self, Parsed};
    use super::*;

    async fn settings(words: &[&str]) -> Result<Settings, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let Ok(Parsed::Run(flags)) = flags::parse(super::super::FLAGS, &words) else { panic!("{words:?}") };
        Settings::of(&flags).await.map_err(|error| match error {
            StartError::Said(text) | StartError::Refused(text) | StartError::Failed(text) => text,
        })
    }

    #[tokio::test]
    async fn endpoints_are_addresses_whatever_their_scheme() {
        let words = ["--endpoints=http://127.0.0.1:1,127.0.0.2:2,https://[::1]:3/", "--retry-delay=0s"];
        let settings = settings(&words).await.unwrap();
        let addresses: Vec<String> = settings.remotes.iter().map(Remote::address).collect();
        assert_eq!(addresses, ["127.0.0.1:1", "127.0.0.2:2", "[::1]:3"]);
        assert_eq!((settings.listen.port(), settings.retry_delay), (23790, RETRY_DELAY));
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_in_etcds_words() {
        for (words, text) in [
            (["--endpoints=nothing"].as_slice(), "error parsing endpoint \"nothing\""),
            (&["--endpoints="], "no endpoints found"),
            (&["--listen-addr=23790"], "failed to validate listen address: 23790"),
            (
                &["--listen-addr=127.0.0.1:7", "--endpoints=localhost:7"],
                "SRV or endpoint (localhost:7->127.0.0.1:7) should not resolve to the gateway listen addr (127.0.0.1:7)",
            ),
        ] {
            assert_eq!(settings(words).await.err().unwrap(), text);
        }
    }
}
