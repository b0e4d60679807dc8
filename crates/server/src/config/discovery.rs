//! Where a new member finds out who founds the cluster with it, if `--initial-cluster` does not say.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::build::duration_or;
use super::{ConfigError, Settings};

/// Where the founding members are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// In the DNS.
    Dns(SrvDiscovery),
    /// In the keys of another cluster.
    Service(Box<DiscoveryService>),
}

/// The founding members are listed in the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvDiscovery {
    /// The domain.
    pub domain: String,
    /// A suffix of the services' names: several clusters can share a domain. Empty for none.
    pub service_suffix: String,
}

/// The founding members list themselves in the keys of another cluster, the discovery service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryService {
    /// Where clients reach that cluster.
    pub endpoints: Vec<String>,
    /// Which of its registries is meant. It is the token of the new cluster, too.
    pub token: String,
    /// How long a connection may take.
    pub dial_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// After how long without a sign of life the service is asked for one.
    pub keepalive_time: Duration,
    /// How long it may take to give it.
    pub keepalive_timeout: Duration,
    /// Certificates, unless connections are in the clear.
    pub tls: Option<DiscoveryTls>,
    /// Who asks.
    pub user: Option<DiscoveryUser>,
}

/// Certificates for connections to the discovery service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryTls {
    /// CAs of the service's certificates; those of the system if none are given.
    pub ca: Option<PathBuf>,
    /// Certificate and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether any certificate is taken.
    pub skips_verification: bool,
}

/// A user of the discovery service.
#[derive(Clone, PartialEq, Eq)]
pub struct DiscoveryUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for DiscoveryUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither is shown (S6).
        f.debug_struct("DiscoveryUser").finish_non_exhaustive()
    }
}

impl Discovery {
    /// Returns the domain that lists the members, if one does.
    pub fn domain(&self) -> Option<&str> {
        match self {
            Discovery::Dns(srv) => Some(&srv.domain),
            Discovery::Service(_) => None,
        }
    }

    /// Returns the discovery service, if it is one.
    pub fn service(&self) -> Option<&DiscoveryService> {
        match self {
            Discovery::Dns(_) => None,
            Discovery::Service(service) => Some(service),
        }
    }

    /// Reads the settings; that they do not contradict each other has been checked.
    ///
    /// # Errors
    /// If a time is negative, or a certificate has no key.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Discovery>, ConfigError> {
        let domain = settings.text("discovery-srv");
        if !domain.is_empty() {
            return Ok(Some(Discovery::Dns(SrvDiscovery {
                domain: domain.to_owned(),
                service_suffix: settings.text("discovery-srv-name").to_owned(),
            })));
        }
        if settings.list("discovery-endpoints").is_empty() {
            return Ok(None);
        }
        let time = |flag: &str, default| duration_or(settings, flag, default);
        Ok(Some(Discovery::Service(Box::new(DiscoveryService {
            endpoints: settings.list("discovery-endpoints").to_vec(),
            token: settings.text("discovery-token").to_owned(),
            dial_timeout: time("discovery-dial-timeout", Duration::from_secs(2))?,
            request_timeout: time("discovery-request-timeout", Duration::from_secs(5))?,
            keepalive_time: time("discovery-keepalive-time", Duration::from_secs(2))?,
            keepalive_timeout: time("discovery-keepalive-timeout", Duration::from_secs(6))?,
            tls: tls(settings)?,
            user: user(settings),
        }))))
    }
}

/// Returns the certificates. As in etcd, any of the files asks for TLS, whatever `--discovery-insecure-transport` says.
fn tls(settings: &Settings) -> Result<Option<DiscoveryTls>, ConfigError> {
    let path = |flag| Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (ca, cert, key) = (path("discovery-cacert"), path("discovery-cert"), path("discovery-key"));
    let skips_verification = settings.bool("discovery-insecure-skip-tls-verify");
    if cert.is_some() != key.is_some() {
        return Err(ConfigError::Invalid(format!(
            "KeyFile and CertFile must both be present[key: {}, cert: {}]",
            settings.text("discovery-key"),
            settings.text("discovery-cert")
        )));
    }
    let is_plain = settings.bool("discovery-insecure-transport")
        && !skips_verification
        && ca.is_none()
        && cert.is_none();
    Ok((!is_plain).then(|| DiscoveryTls { ca, identity: cert.zip(key), skips_verification }))
}

/// Returns the user: `name:password`, or a name whose password is given separately. As in etcd, one without a password is
/// nobody.
fn user(settings: &Settings) -> Option<DiscoveryUser> {
    let (name, password) = (settings.text("discovery-user"), settings.text("discovery-password"));
    let (name, password) = match name.split_once(':') {
        Some((name, password_behind)) if password.is_empty() => (name, password_behind),
        _ => (name, password),
    };
    let is_somebody = !name.is_empty() && !password.is_empty();
    is_somebody.then(|| DiscoveryUser { name: name.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn of_file(text: &str) -> Result<DiscoveryService, String> {
        let settings = file::parse("f", text, &mut Vec::new()).map_err(|error| error.to_string())?;
        let discovery = Discovery::from_settings(&settings).map_err(|error| error.to_string())?;
        Ok(discovery.and_then(|discovery| discovery.service().cloned()).expect("a service"))
    }

    #[test]
    fn every_setting_of_a_service_has_its_place_in_the_file() {
        let text = "discovery-config:\n  token: t\n  client:\n    endpoints: [b:2, a:1]\n    dial-timeout: 3s\n    \
                    request-timeout: 4000000000\n    keepalive-time: 5s\n    keepalive-timeout: 6s\n    secure: {cacert: ca, \
                    cert: c, key: k, insecure-transport: false, insecure-skip-tls-verify: true}\n    auth: {username: u, \
                    password: p}\n";
        let expected = DiscoveryService {
            endpoints: vec!["a:1".to_owned(), "b:2".to_owned()],
            token: "t".to_owned(),
            dial_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(4),
            keepalive_time: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(6),
            tls: Some(DiscoveryTls {
                ca: Some("ca".into()),
                identity: Some(("c".into(), "k".into())),
                skips_verification: true,
            }),
            user: Some(DiscoveryUser { name: "u".to_owned(), password: "p".to_owned() }),
        };
        let found = of_file(text).unwrap();
        assert_eq!(found, expected);
        assert!(!format!("{found:?}").contains("\"p\""), "passwords are not shown");
    }

    #[test]
    fn tls_is_asked_for_in_several_ways() {
        let tls = |secure: &str| {
            of_file(&format!(
                "discovery-config: {{token: t, client: {{endpoints: [a:1], secure: {{{secure}}}}}}}"
            ))
            .map(|service| service.tls.is_some())
        };
        assert_eq!(tls(""), Ok(false));
        for secure in
            ["insecure-transport: false", "insecure-skip-tls-verify: true", "cacert: x", "cert: x, key: y"]
        {
            assert_eq!(tls(secure), Ok(true), "{secure}");
        }
        let half = "KeyFile and CertFile must both be present[key: , cert: x]";
        assert_eq!(tls("cert: x"), Err(half.to_owned()));
    }

    #[test]
    fn a_user_has_a_password_here_or_there() {
        let user = |auth: &str| {
            let text =
                format!("discovery-config: {{token: t, client: {{endpoints: [a:1], auth: {{{auth}}}}}}}");
            of_file(&text).unwrap().user.map(|user| (user.name, user.password))
        };
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(user("username: u, password: p"), pair("u", "p"));
        assert_eq!(user("username: 'u:p:q'"), pair("u", "p:q"));
        assert_eq!(user("username: 'u:p', password: q"), pair("u:p", "q"));
        assert_eq!((user("username: u"), user("password: p"), user("")), (None, None, None));
    }

    #[test]
    fn times_that_are_zero_are_the_defaults() {
        let service = of_file(
            "discovery-config: {token: t, client: {endpoints: [a:1], dial-timeout: 0, keepalive-time: 0}}",
        );
        let service = service.unwrap();
        assert_eq!((service.dial_timeout.as_secs(), service.keepalive_time.as_secs()), (2, 2));
        let error = of_file("discovery-config: {token: t, client: {endpoints: [a:1], request-timeout: -1s}}")
            .unwrap_err();
        assert_eq!(error, "discovery-config.client.request-timeout must not be negative (set to -1s)");
    }
}
