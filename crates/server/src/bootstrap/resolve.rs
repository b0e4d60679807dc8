//! Whether two lists of URLs lead to the same places, by their text or by the addresses that their names have.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Url;

/// Time for all names of a comparison to resolve; as in etcd.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a name that did not resolve is tried again: names of members that start together appear with them.
const RETRY: Duration = Duration::from_secs(1);

/// Compares two lists, in any order.
///
/// # Errors
/// How they differ, in etcd's words.
pub(super) async fn same_places(one: &[String], other: &[String], timeout: Duration) -> Result<(), String> {
    if one.len() != other.len() {
        return Err(format!("len({}) != len({})", quoted(one), quoted(other)));
    }
    let (one, other) = (parse(one)?, parse(other)?);
    if difference(&one, &other).is_none() {
        return Ok(());
    }
    let deadline = Instant::now() + timeout;
    let (one, other) = (resolve_all(one, deadline).await?, resolve_all(other, deadline).await?);
    match difference(&one, &other) {
        None => Ok(()),
        Some((one, other)) => Err(format!("resolved urls: \"{one}\" != \"{other}\"")),
    }
}

/// The first pair that differs.
fn difference<'a>(one: &'a [Url], other: &'a [Url]) -> Option<(&'a Url, &'a Url)> {
    one.iter().zip(other).find(|(one, other)| !is_same(one, other))
}

/// The same text, or the same address however it is written.
fn is_same(one: &Url, other: &Url) -> bool {
    let address = |url: &Url| {
        let (host, port) = url.host_port()?;
        Some((url.scheme(), host.parse::<IpAddr>().ok()?, port))
    };
    one == other || (address(one).is_some() && address(one) == address(other))
}

fn parse(texts: &[String]) -> Result<Vec<Url>, String> {
    let parsed = texts
        .iter()
        .map(|text| Url::parse(text).map_err(|_| format!("failed to parse string to URL: {text:?}")));
    let mut urls = parsed.collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    Ok(urls)
}

async fn resolve_all(urls: Vec<Url>, deadline: Instant) -> Result<Vec<Url>, String> {
    let mut resolved = Vec::with_capacity(urls.len());
    for url in urls {
        resolved.push(resolve(&url, deadline).await?.unwrap_or(url));
    }
    resolved.sort();
    Ok(resolved)
}

/// The URL with an address for its name; `None` where there is no name to resolve.
async fn resolve(url: &Url, deadline: Instant) -> Result<Option<Url>, String> {
    let Some((host, port)) = url.host_port() else { return Ok(None) };
    if host == "localhost" {
        return Ok(None);
    }
    loop {
        let looked_up = tokio::time::timeout_at(deadline, tokio::net::lookup_host((host, port))).await;
        let error = match looked_up {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(address) => {
                    tracing::info!(%url, host, "resolved-addr" = %address, "resolved URL Host");
                    return Ok(Some(url.with_address(address.ip(), port)));
                }
                None => "no address".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(%url, host, error, "failed to resolve URL Host");
        if Instant::now() + RETRY >= deadline {
            return Err(format!("failed to resolve {:?} ({error})", url.as_str()));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A list as Go's `%q` prints it.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn compare(one: &str, other: &str) -> Result<(), String> {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        same_places(&list(one), &list(other), Duration::ZERO).await
    }

    #[tokio::test]
    async fn lists_are_compared_as_sets_of_places() {
        for (one, other) in [
            ("http://a:1 http://b:2", "http://b:2 http://a:1"),
            ("http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1"),
            ("unix:///x", "unix:///x"),
        ] {
            assert_eq!(compare(one, other).await, Ok(()));
        }
        let cases = [
            (
                "http://a:1",
                "http://a:1 http://b:2",
                "len([\"http://a:1\"]) != len([\"http://a:1\" \"http://b:2\"])",
            ),
            (
                "http://127.0.0.1:1",
                "http://127.0.0.1:2",
                "resolved urls: \"http://127.0.0.1:1\" != \"http://127.0.0.1:2\"",
            ),
            (
                "http://127.0.0.1:1",
                "https://127.0.0.1:1",
                "resolved urls: \"http://127.0.0.1:1\" != \"https://127.0.0.1:1\"",
            ),
            ("http://a/", "http://a:1", "failed to parse string to URL: \"http://a/\""),
        ];
        for (one, other, text) in cases {
            assert_eq!(compare(one, other).await, Err(text.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_named() {
        let error = compare("http://name.invalid:1", "http://127.0.0.1:1").await.unwrap_err();
        assert!(error.starts_with("failed to resolve \"http://name.invalid:1\" ("), "{error}");
    }
}
