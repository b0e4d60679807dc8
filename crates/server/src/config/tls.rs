//! TLS: what the flags say about certificates, typed.
//!
//! Two sides have settings of their own: towards clients (listeners for gRPC, HTTP and metrics) and between peers
//! (listeners and outgoing connections). Versions and cipher suites hold for both. Whether the files exist, and what is
//! in them, is not known here.

use std::path::PathBuf;

use super::{ConfigError, Settings, Url};

/// TLS for all connections of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Towards clients.
    pub client: TlsSide,
    /// Between peers.
    pub peer: TlsSide,
    /// Versions and cipher suites, on both sides.
    pub protocol: TlsProtocol,
    /// Validity of certificates that the member makes for itself, in years.
    pub self_signed_years: u64,
}

/// TLS towards one kind of counterpart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSide {
    /// Certificate and key of the listeners.
    pub own: Option<KeyFiles>,
    /// Certificate and key of outgoing connections; without them those of the listeners.
    pub outgoing: Option<KeyFiles>,
    /// Certificates of the CAs that sign those of the others; without it the system's.
    pub trusted_ca: Option<PathBuf>,
    /// Whether certificates are required of those who connect, and their names identify them.
    pub client_cert_auth: bool,
    /// List of revoked certificates.
    pub crl: Option<PathBuf>,
    /// Which of the certificates that a CA has signed are accepted.
    pub allowed: AllowedNames,
    /// Whether the member makes its own certificate if there is none.
    pub auto: bool,
    /// Whether a certificate may be used from an address that it does not name.
    pub skip_client_san_verification: bool,
}

/// A certificate's file and that of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The certificate, with what is between it and the CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which names a certificate may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedNames {
    /// All.
    #[default]
    Any,
    /// One of these common names.
    CommonNames(Vec<String>),
    /// A subject alternative name that covers one of these host names or IP addresses.
    Hostnames(Vec<String>),
}

/// Versions and cipher suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProtocol {
    /// The lowest version.
    pub min: TlsVersion,
    /// The highest version; without it the highest there is.
    pub max: Option<TlsVersion>,
    /// Suites for TLS 1.2; none: all that are served. Those of TLS 1.3 cannot be chosen, as in Go.
    pub cipher_suites: Vec<CipherSuite>,
}

impl TlsProtocol {
    /// Returns what was asked for: versions as read and as written, and the names of suites.
    ///
    /// # Errors
    /// etcd's text, if they contradict each other or there is no such suite.
    pub(crate) fn of(
        (min, min_text): (Option<TlsVersion>, &str),
        (max, max_text): (Option<TlsVersion>, &str),
        names: &[String],
    ) -> Result<Self, String> {
        // Without a word about it, Go's and our lowest version is the same.
        let min = min.unwrap_or(TlsVersion::V12);
        if max.is_some_and(|max| min > max) {
            return Err(format!("min version ({min_text}) is greater than max version ({max_text})"));
        }
        if min == TlsVersion::V13 && !names.is_empty() {
            return Err("cipher suites cannot be configured when only TLS1.3 is enabled".to_owned());
        }
        let suite = |name: &String| {
            CipherSuite::named(name).ok_or_else(|| format!("unexpected TLS cipher suite {name:?}"))
        };
        Ok(Self { min, max, cipher_suites: names.iter().map(suite).collect::<Result<_, _>>()? })
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// A cipher suite: Go's name and the number it has in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite {
    /// Go's name.
    pub name: &'static str,
    /// IANA's number.
    pub number: u16,
}

/// Every suite that Go knows, and two old names that etcd knows.
#[rustfmt::skip] // one row, one suite
const CIPHER_SUITES: &[(&str, u16)] = &[
    ("TLS_AES_128_GCM_SHA256", 0x1301),
    ("TLS_AES_256_GCM_SHA384", 0x1302),
    ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc009),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xc00a),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xc013),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xc014),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", 0xcca8),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", 0xcca9),
    ("TLS_RSA_WITH_RC4_128_SHA", 0x0005),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 0x000a),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002f),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", 0x0035),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003c),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009c),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", 0x009d),
    ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", 0xc007),
    ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", 0xc011),
    ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", 0xc012),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xc023),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xc027),
];

impl CipherSuite {
    /// Returns the suite that Go calls so.
    pub fn named(name: &str) -> Option<CipherSuite> {
        let row = CIPHER_SUITES.iter().find(|(known, _)| *known == name);
        row.map(|(name, number)| CipherSuite { name, number: *number })
    }
}

impl TlsVersion {
    /// Reads a version; the empty text names none.
    pub(crate) fn parse(text: &str) -> Result<Option<TlsVersion>, ConfigError> {
        match text {
            "" => Ok(None),
            "TLS1.2" => Ok(Some(TlsVersion::V12)),
            "TLS1.3" => Ok(Some(TlsVersion::V13)),
            other => refuse(format!("unexpected TLS version {other:?} (must be one of: TLS1.2, TLS1.3)")),
        }
    }
}

impl TlsSide {
    /// Returns whether those who connect must show a certificate. A CA alone asks for it too, as in etcd.
    pub fn requires_client_cert(&self) -> bool {
        self.client_cert_auth || self.trusted_ca.is_some()
    }

    /// Returns whether there is a certificate to serve with, or one is made.
    pub fn can_serve(&self) -> bool {
        self.own.is_some() || self.auto
    }
}

impl Tls {
    /// Reads the settings, and refuses in etcd's words what etcd refuses.
    pub(super) fn from_settings(settings: &Settings) -> Result<Tls, ConfigError> {
        let tls = Tls {
            client: side(settings, &CLIENT)?,
            peer: side(settings, &PEER)?,
            protocol: protocol(settings)?,
            // The file may say 0, and etcd takes that for 1.
            self_signed_years: settings.uint("self-signed-cert-validity").max(1),
        };
        check_listeners(settings, &tls)?;
        Ok(tls)
    }
}

/// The flags of a side. An empty name stands for a flag that the side does not have.
struct Flags {
    listen: &'static [&'static str],
    cert: &'static str,
    key: &'static str,
    client_cert: &'static str,
    client_key: &'static str,
    cert_auth: &'static str,
    trusted_ca: &'static str,
    crl: &'static str,
    allowed_cn: &'static str,
    allowed_hostname: &'static str,
    auto: &'static str,
    skip_san: &'static str,
}

const CLIENT: Flags = Flags {
    listen: &["listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"],
    cert: "cert-file",
    key: "key-file",
    client_cert: "client-cert-file",
    client_key: "client-key-file",
    cert_auth: "client-cert-auth",
    trusted_ca: "trusted-ca-file",
    crl: "client-crl-file",
    allowed_cn: "",
    allowed_hostname: "client-cert-allowed-hostname",
    auto: "auto-tls",
    skip_san: "",
};

const PEER: Flags = Flags {
    listen: &["listen-peer-urls"],
    cert: "peer-cert-file",
    key: "peer-key-file",
    client_cert: "peer-client-cert-file",
    client_key: "peer-client-key-file",
    cert_auth: "peer-client-cert-auth",
    trusted_ca: "peer-trusted-ca-file",
    crl: "peer-crl-file",
    allowed_cn: "peer-cert-allowed-cn",
    allowed_hostname: "peer-cert-allowed-hostname",
    auto: "peer-auto-tls",
    skip_san: "peer-skip-client-san-verification",
};

fn refuse<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid(text.into()))
}

fn side(settings: &Settings, flags: &Flags) -> Result<TlsSide, ConfigError> {
    let path = |flag| Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let side = TlsSide {
        own: own(settings, flags)?,
        outgoing: outgoing(settings, flags)?,
        trusted_ca: path(flags.trusted_ca),
        client_cert_auth: settings.bool(flags.cert_auth),
        crl: path(flags.crl),
        allowed: allowed(settings, flags)?,
        auto: settings.bool(flags.auto),
        skip_client_san_verification: !flags.skip_san.is_empty() && settings.bool(flags.skip_san),
    };
    // etcd drops the demand without a word. Nobody could meet it: no CA has signed what the members make.
    if flags.cert == PEER.cert && side.requires_client_cert() && side.auto && side.own.is_none() {
        return refuse(
            "--peer-client-cert-auth and --peer-trusted-ca-file need certificates that a CA has signed, but \
             --peer-auto-tls makes them",
        );
    }
    Ok(side)
}

/// Certificate and key. Half a pair is refused where it is used: etcd does not look at it for plain listeners of clients.
fn own(settings: &Settings, flags: &Flags) -> Result<Option<KeyFiles>, ConfigError> {
    let (cert, key) = (settings.text(flags.cert), settings.text(flags.key));
    let is_used = flags.cert == PEER.cert || secure_listener(settings, flags).is_some();
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(KeyFiles { cert: cert.into(), key: key.into() })),
        _ if !is_used => Ok(None),
        _ => refuse(format!("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")),
    }
}

fn outgoing(settings: &Settings, flags: &Flags) -> Result<Option<KeyFiles>, ConfigError> {
    let (cert, key) = (settings.text(flags.client_cert), settings.text(flags.client_key));
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(KeyFiles { cert: cert.into(), key: key.into() })),
        _ => refuse(format!(
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {cert}]"
        )),
    }
}

fn allowed(settings: &Settings, flags: &Flags) -> Result<AllowedNames, ConfigError> {
    let list = |flag: &str| match flag {
        "" => Vec::new(),
        flag => settings.list(flag).iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>(),
    };
    let (common_names, hostnames) = (list(flags.allowed_cn), list(flags.allowed_hostname));
    match (common_names.is_empty(), hostnames.is_empty()) {
        (true, true) => Ok(AllowedNames::Any),
        (false, true) => Ok(AllowedNames::CommonNames(common_names)),
        (true, false) => Ok(AllowedNames::Hostnames(hostnames)),
        (false, false) => {
            let quoted =
                |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" ");
            refuse(format!(
                "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[{}], hostnames=[{}])",
                quoted(&common_names),
                quoted(&hostnames)
            ))
        }
    }
}

fn protocol(settings: &Settings) -> Result<TlsProtocol, ConfigError> {
    let (min_text, max_text) = (settings.text("tls-min-version"), settings.text("tls-max-version"));
    let (min, max) = (TlsVersion::parse(min_text)?, TlsVersion::parse(max_text)?);
    TlsProtocol::of((min, min_text), (max, max_text), settings.list("cipher-suites"))
        .map_err(ConfigError::Invalid)
}

fn secure_listener<'a>(settings: &'a Settings, flags: &Flags) -> Option<(&'static str, &'a Url)> {
    let urls = |flag: &'static str| settings.urls(flag).iter().map(move |url| (flag, url));
    flags.listen.iter().copied().flat_map(urls).find(|(_, url)| url.is_secure())
}

/// A listener with TLS needs a certificate.
fn check_listeners(settings: &Settings, tls: &Tls) -> Result<(), ConfigError> {
    for (side, flags) in [(&tls.peer, &PEER), (&tls.client, &CLIENT)] {
        if side.can_serve() {
            continue;
        }
        match secure_listener(settings, flags) {
            None => {}
            Some(("listen-metrics-urls", _)) => {
                return refuse(
                    "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
                );
            }
            Some(("listen-peer-urls", url)) => {
                let (host, port) = url.host_port().unwrap_or_default();
                return refuse(format!(
                    "cannot listen on TLS for {host}:{port}: KeyFile and CertFile are not presented"
                ));
            }
            Some((_, url)) => {
                return refuse(format!(
                    "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
                ));
            }
        }
    }
    Ok(())
}
