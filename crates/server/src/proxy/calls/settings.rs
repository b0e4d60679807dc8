//! What the flags of the proxy of calls say. What is wrong with them is said in etcd's words.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::super::StartError;
use super::super::discovery::Discovery;
use super::super::flags::Flags;
use super::cluster::Resolver;
use super::kv::RangeOrder;
use crate::config::Url;
use crate::config::tls::{KeyFiles, TlsProtocol, TlsSide, TlsVersion};
use crate::limits::HEADER_TIMEOUT;
use crate::net::connection::Http2Settings;
use crate::tls;

/// Everything that the proxy is told at its start.
pub(super) struct Settings {
    /// `--listen-addr`, as it was written and as it is bound.
    pub(super) listen_text: String,
    pub(super) listen: SocketAddr,
    pub(super) metrics: Option<Url>,
    pub(super) members: Members,
    pub(super) advertised: String,
    pub(super) resolver: Option<Resolver>,
    pub(super) namespace: Bytes,
    pub(super) order: RangeOrder,
    pub(super) http2: Http2Settings,
    pub(super) security: Option<Security>,
    pub(super) logs_calls: bool,
}

/// How the members are reached.
pub(super) struct Members {
    pub(super) endpoints: Vec<String>,
    pub(super) discovery: Option<Discovery>,
    pub(super) tls: Option<client::Tls>,
    pub(super) sync_interval: Option<Duration>,
    /// Interval and timeout of the signs of life; without them those of our client.
    pub(super) keepalive: Option<(Duration, Duration)>,
    pub(super) send_bytes_max: usize,
    pub(super) receive_bytes_max: usize,
}

/// TLS of the listeners.
pub(super) struct Security {
    pub(super) side: TlsSide,
    pub(super) protocol: TlsProtocol,
    /// Where a certificate is made, and for how many years, if none is given.
    pub(super) own: Option<(PathBuf, u64)>,
}

fn refuse<T>(text: impl Into<String>) -> Result<T, StartError> {
    Err(StartError::Refused(text.into()))
}

/// Returns the path that a flag names, if it names one.
fn path(flags: &Flags, flag: &str) -> Option<PathBuf> {
    Some(flags.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl Settings {
    /// Reads the flags.
    ///
    /// # Errors
    /// What etcd refuses, and what this version does not serve.
    pub(super) fn of(flags: &Flags) -> Result<Settings, StartError> {
        let resolver = resolver(flags)?;
        let protocol = protocol(flags)?;
        if !flags.text("experimental-leasing-prefix").is_empty() {
            return refuse(
                "--experimental-leasing-prefix asks for keys that are leased to the proxy, which this version of quorate \
                 does not serve yet",
            );
        }
        notice_what_has_no_effect(flags);
        let listen_text = flags.text("listen-addr").to_owned();
        let metrics = match flags.text("metrics-addr") {
            "" => None,
            text => match Url::parse(text) {
                Ok(url) if url.bind_address().is_some() => Some(url),
                _ => return refuse(format!("cannot parse {text:?}")),
            },
        };
        Ok(Settings {
            listen: listen_address(&listen_text)?,
            listen_text,
            metrics,
            members: members(flags)?,
            advertised: flags.text("advertise-client-url").to_owned(),
            resolver,
            namespace: flags.text("namespace").to_owned().into(),
            order: match flags.bool("experimental-serializable-ordering") {
                true => RangeOrder::Kept,
                false => RangeOrder::NotKept,
            },
            http2: http2(flags)?,
            security: security(flags, protocol)?,
            logs_calls: flags.bool("experimental-enable-grpc-logging"),
        })
    }
}

/// Logs which flags are set that change nothing.
fn notice_what_has_no_effect(flags: &Flags) {
    for (flag, why) in [
        ("enable-pprof", "profiles are not served"),
        ("permit-without-stream", "a connection without calls is not asked for a sign of life"),
    ] {
        if flags.bool(flag) {
            let setting = format!("--{flag}");
            tracing::warn!(setting, why, "setting accepted, but without effect");
        }
    }
}

fn resolver(flags: &Flags) -> Result<Option<Resolver>, StartError> {
    let (prefix, ttl) = (flags.text("resolver-prefix"), flags.int("resolver-ttl"));
    let advertised = flags.text("advertise-client-url");
    match (prefix, u64::try_from(ttl)) {
        ("", Err(_) | Ok(0)) => Ok(None),
        ("", Ok(_)) => refuse(format!("invalid resolver-prefix {prefix:?}")),
        (_, Err(_) | Ok(0)) => refuse(format!("invalid resolver-ttl {ttl}")),
        (_, Ok(_)) if advertised.is_empty() => refuse(format!("invalid advertise-client-url {advertised:?}")),
        (_, Ok(ttl)) => {
            let prefix = [flags.text("namespace"), prefix].concat();
            Ok(Some(Resolver { prefix: prefix.into(), ttl: Duration::from_secs(ttl) }))
        }
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, StartError> {
    let unusable = |why: String| StartError::Refused(format!("listen tcp {text:?}: {why}"));
    // As Go reads it: without a host, all addresses.
    let text = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let found = std::net::ToSocketAddrs::to_socket_addrs(text.as_str());
    let mut found = found.map_err(|error| unusable(error.to_string()))?;
    found.next().ok_or_else(|| unusable("no address".to_owned()))
}

fn members(flags: &Flags) -> Result<Members, StartError> {
    let limit = |flag: &str, default: usize| match usize::try_from(flags.int(flag)) {
        Ok(limit) if limit > 0 => limit,
        _ => default,
    };
    let keepalive = (flags.duration("dial-keepalive-time"), flags.duration("dial-keepalive-timeout"));
    let sync_interval = flags.duration("endpoints-auto-sync-interval");
    Ok(Members {
        endpoints: flags.list("endpoints").to_vec(),
        discovery: Discovery::of(flags, "cacert"),
        tls: member_tls(flags)?,
        sync_interval: Some(sync_interval).filter(|interval| !interval.is_zero()),
        keepalive: Some(keepalive).filter(|(time, timeout)| !time.is_zero() && !timeout.is_zero()),
        send_bytes_max: limit("max-send-bytes", 2 << 20),
        receive_bytes_max: limit("max-recv-bytes", i32::MAX as usize),
    })
}

/// TLS towards the members. A certificate with a common name would make every client of the proxy that user.
fn member_tls(flags: &Flags) -> Result<Option<client::Tls>, StartError> {
    let (ca, cert, key) = (path(flags, "cacert"), path(flags, "cert"), path(flags, "key"));
    let skips = flags.bool("insecure-skip-tls-verify");
    if ca.is_none() && cert.is_none() && key.is_none() && !skips {
        return Ok(None);
    }
    let mut tls = client::Tls::new();
    if let Some(ca) = ca {
        tls = tls.ca_file(ca);
    }
    match (cert, key) {
        (None, None) => {}
        (Some(cert), Some(key)) => {
            let name = tls::common_name(&cert).map_err(|error| StartError::Refused(error.to_string()))?;
            if let Some(name) = name {
                let cert = cert.display();
                return refuse(format!("cert has non empty Common Name ({name}): {cert}"));
            }
            tls = tls.identity_files(cert, key);
        }
        (cert, key) => return half_a_pair(cert.as_deref(), key.as_deref()),
    }
    if skips {
        tracing::warn!(
            "--insecure-skip-tls-verify was given, this grpc proxy process skips authentication of etcd server TLS \
             certificates. This option should be enabled only for testing purposes."
        );
        tls = tls.skip_verify();
    }
    Ok(Some(tls))
}

fn half_a_pair<T>(cert: Option<&Path>, key: Option<&Path>) -> Result<T, StartError> {
    let shown = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    refuse(format!("KeyFile and CertFile must both be present[key: {}, cert: {}]", shown(key), shown(cert)))
}

fn http2(flags: &Flags) -> Result<Http2Settings, StartError> {
    let unless_zero = |flag: &str| Some(flags.duration(flag)).filter(|duration| !duration.is_zero());
    let max_concurrent_streams = u32::try_from(flags.int("max-concurrent-streams")).unwrap_or(u32::MAX);
    Ok(Http2Settings {
        max_concurrent_streams,
        keepalive_interval: unless_zero("grpc-keepalive-interval"),
        keepalive_timeout: unless_zero("grpc-keepalive-timeout").unwrap_or(Duration::from_secs(20)),
        // grpc-go's own default, to which etcd leaves it.
        ping_min_time: unless_zero("grpc-keepalive-min-time").unwrap_or(Duration::from_secs(300)),
        head_within: HEADER_TIMEOUT,
    })
}

fn protocol(flags: &Flags) -> Result<TlsProtocol, StartError> {
    let (min_text, max_text) = (flags.text("tls-min-version"), flags.text("tls-max-version"));
    let version = |which: &str, text: &str| {
        TlsVersion::parse(text).map_err(|error| StartError::Refused(format!("{which} is invalid: {error}")))
    };
    let (min, max) = (version("tls-min-version", min_text)?, version("tls-max-version", max_text)?);
    TlsProtocol::of((min, min_text), (max, max_text), flags.list("listen-cipher-suites"))
        .map_err(StartError::Refused)
}

fn security(flags: &Flags, protocol: TlsProtocol) -> Result<Option<Security>, StartError> {
    let (cert, key) = (path(flags, "cert-file"), path(flags, "key-file"));
    let trusted_ca = path(flags, "trusted-ca-file");
    let is_auto = flags.bool("auto-tls");
    let years = u64::try_from(flags.int("self-signed-cert-validity")).unwrap_or(0);
    if is_auto && years == 0 {
        return refuse("selfSignedCertValidity is invalid,it should be greater than 0");
    }
    let own = match (cert, key) {
        (Some(cert), Some(key)) => Some(KeyFiles { cert, key }),
        (None, None) if trusted_ca.is_none() && !is_auto => return Ok(None),
        (None, None) if trusted_ca.is_none() => None,
        (cert, key) => return half_a_pair(cert.as_deref(), key.as_deref()),
    };
    let made = own.is_none().then(|| {
        let directory = Path::new(flags.text("data-dir")).join("fixtures").join("proxy");
        (directory, years)
    });
    let side = TlsSide { own, trusted_ca, crl: path(flags, "client-crl-file"), ..Default::default() };
    Ok(Some(Security { side, protocol, own: made }))
}

#[cfg(test)]
mod tests {
    use super::super::super::flags::{self, Parsed};
    use super::*;

    fn settings(words: &[&str]) -> Result<Settings, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let Ok(Parsed::Run(flags)) = flags::parse(super::super::FLAGS, &words) else { panic!("{words:?}") };
        Settings::of(&flags).map_err(|error| match error {
            StartError::Said(text) | StartError::Refused(text) | StartError::Failed(text) => text,
        })
    }

    #[test]
    fn the_defaults_are_etcds() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:23790");
        assert_eq!((settings.advertised.as_str(), settings.order), ("127.0.0.1:23790", RangeOrder::NotKept));
        let Members { endpoints, send_bytes_max, receive_bytes_max, keepalive, .. } = settings.members;
        assert_eq!(endpoints, ["127.0.0.1:2379"]);
        assert_eq!((send_bytes_max, receive_bytes_max, keepalive), (1_572_864, i32::MAX as usize, None));
        assert_eq!(settings.http2.ping_min_time, Duration::from_secs(5));
        assert!(settings.security.is_none() && settings.resolver.is_none());
    }

    #[test]
    fn what_cannot_be_is_refused_in_etcds_words() {
        for (words, text) in [
            (["--resolver-prefix=p"].as_slice(), "invalid resolver-ttl 0"),
            (&["--resolver-ttl=5"], "invalid resolver-prefix \"\""),
            (
                &["--resolver-prefix=p", "--resolver-ttl=5", "--advertise-client-url="],
                "invalid advertise-client-url \"\"",
            ),
            (
                &["--auto-tls", "--self-signed-cert-validity=0"],
                "selfSignedCertValidity is invalid,it should be greater than 0",
            ),
            (
                &["--tls-min-version=x"],
                "tls-min-version is invalid: unexpected TLS version \"x\" (must be one of: TLS1.2, TLS1.3)",
            ),
            (
                &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
                "min version (TLS1.3) is greater than max version (TLS1.2)",
            ),
            (
                &["--tls-min-version=TLS1.3", "--listen-cipher-suites=TLS_AES_128_GCM_SHA256"],
                "cipher suites cannot be configured when only TLS1.3 is enabled",
            ),
            (&["--listen-cipher-suites=x"], "unexpected TLS cipher suite \"x\""),
            (&["--cert-file=c"], "KeyFile and CertFile must both be present[key: , cert: c]"),
            (&["--metrics-addr=x"], "cannot parse \"x\""),
            (
                &["--experimental-leasing-prefix=l"],
                "--experimental-leasing-prefix asks for keys that are leased to the proxy, which this version of quorate \
                 does not serve yet",
            ),
        ] {
            assert_eq!(settings(words).err().unwrap(), text);
        }
    }
}
