//! JSON web tokens (RFC 7519), as etcd makes them: `username`, `revision`, `exp`.
//!
//! Three parts in Base64, with dots between them: a head that names the method, the claims, and the
//! signature of both. The method is this member's and not the one that the head names: a token that
//! says that it needs no signature, or another one, is none.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::TokenError;
use super::key::Key;
use super::options::{OptionsError, WebOptions};

/// The key and the life of tokens.
pub(crate) struct WebTokens {
    key: Key,
    ttl: Duration,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
}

/// Numbers may have a fraction: etcd reads them as such.
#[derive(Deserialize)]
struct Claims {
    username: String,
    revision: f64,
    /// Seconds since 1970.
    #[serde(default)]
    exp: Option<f64>,
    /// The same: the token is not valid before.
    #[serde(default)]
    nbf: Option<f64>,
}

#[derive(Serialize)]
struct OwnClaims<'a> {
    exp: u64,
    revision: u64,
    username: &'a str,
}

impl WebTokens {
    pub(super) fn open(options: &WebOptions) -> Result<Self, OptionsError> {
        Ok(Self { key: Key::open(options)?, ttl: options.ttl })
    }

    /// Returns tokens of the method `HS256` with this secret.
    pub(super) fn shared(secret: &[u8], ttl: Duration) -> Self {
        Self { key: Key::shared(secret), ttl }
    }

    /// Returns a token.
    ///
    /// # Errors
    /// `VerifyOnly`, `Unsigned`.
    pub(super) fn sign(&self, username: &str, revision: u64) -> Result<String, TokenError> {
        if self.key.is_verify_only() {
            return Err(TokenError::VerifyOnly);
        }
        let exp = (since_1970() + self.ttl).as_secs();
        let claims = serde_json::to_string(&OwnClaims { exp, revision, username })
            .map_err(|_| TokenError::Unsigned)?;
        let head = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.key.method.name());
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        self.signed(&message).ok_or(TokenError::Unsigned)
    }

    /// Appends the signature to a message.
    pub(super) fn signed(&self, message: &str) -> Option<String> {
        let signature = self.key.sign(message.as_bytes())?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Returns the user and the auth revision in a token that is valid now.
    pub(super) fn verify(&self, token: &str) -> Option<(Arc<str>, u64)> {
        let (message, signature) = token.rsplit_once('.')?;
        let (head, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Head = serde_json::from_slice(&decode(head)?).ok()?;
        let is_signed =
            head.alg == self.key.method.name() && self.key.verify(message.as_bytes(), &decode(signature)?);
        if !is_signed {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let now = since_1970().as_secs_f64();
        let is_current = claims.exp.is_none_or(|exp| now < exp) && claims.nbf.is_none_or(|nbf| nbf <= now);
        is_current.then(|| (claims.username.into(), claims.revision as u64))
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::super::options::{Kind, parse};
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn openssl(arguments: &[&str]) {
            let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }

        /// Makes a private key, and its public key beside it.
        fn pair(&self, name: &str, kind: &[&str]) -> (PathBuf, PathBuf) {
            let (private, public) = (self.path(name), self.path(&format!("{name}.pub")));
            let mut arguments = vec!["genpkey", "-out", private.to_str().unwrap()];
            arguments.extend(kind);
            Self::openssl(&arguments);
            let public_text = public.to_str().unwrap();
            Self::openssl(&["pkey", "-in", private.to_str().unwrap(), "-pubout", "-out", public_text]);
            (private, public)
        }
    }

    fn open(method: &str, private: Option<&Path>, public: Option<&Path>) -> Result<WebTokens, OptionsError> {
        let mut flag = format!("jwt,sign-method={method},ttl=1h");
        for (name, path) in [("priv-key", private), ("pub-key", public)] {
            if let Some(path) = path {
                flag.push_str(&format!(",{name}={}", path.display()));
            }
        }
        let Ok(Kind::Web(options)) = parse(&flag) else { panic!("good options") };
        WebTokens::open(&options)
    }

    const EC: [&str; 3] = ["-algorithm", "EC", "-pkeyopt"];

    #[test]
    fn every_method_makes_tokens_that_the_public_key_takes() {
        let files = Files::new();
        let rsa = files.pair("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let curve = |name: &str, curve: &str| {
            files.pair(name, &[&EC[..], &[&format!("ec_paramgen_curve:{curve}")]].concat())
        };
        let ec = [curve("p256", "P-256"), curve("p384", "P-384"), curve("p521", "P-521")];
        let ed = files.pair("ed", &["-algorithm", "ed25519"]);
        let with_rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(|method| (method, &rsa));
        let with_ec = [("ES256", &ec[0]), ("ES384", &ec[1]), ("ES512", &ec[2]), ("EdDSA", &ed)];
        for (method, (private, public)) in with_rsa.into_iter().chain(with_ec) {
            let signs = open(method, Some(private), Some(public)).unwrap();
            let token = signs.sign("u", 7).unwrap();
            assert_eq!(signs.verify(&token), Some(("u".into(), 7)), "{method}");
            let verifies = open(method, None, Some(public)).unwrap();
            assert_eq!(verifies.verify(&token), Some(("u".into(), 7)), "{method}");
            assert_eq!(verifies.sign("u", 7), Err(TokenError::VerifyOnly), "{method}");
        }
        let error = open(
            "ES256",
            Some(&ec[0].0),
            Some(&files.pair("x", &[&EC[..], &["ec_paramgen_curve:P-256"]].concat()).1),
        );
        assert!(matches!(error, Err(OptionsError::KeyMismatch)));
        assert!(matches!(open("ES256", Some(&ec[1].0), None), Err(OptionsError::BadKey { .. })));
        assert!(matches!(open("RS256", None, None), Err(OptionsError::MissingKey)));
        // As `openssl ecparam -genkey` writes it.
        let old = files.path("old");
        Files::openssl(&["ec", "-in", ec[0].0.to_str().unwrap(), "-out", old.to_str().unwrap()]);
        let token = open("ES256", Some(&old), None).unwrap().sign("u", 7).unwrap();
        assert!(open("ES256", None, Some(&ec[0].1)).unwrap().verify(&token).is_some());
    }

    /// etcd's own tests name the server's certificate as `pub-key`.
    #[test]
    fn a_public_key_may_be_in_a_certificate_or_in_the_shape_of_rsa() {
        let files = Files::new();
        let rsa = files.pair("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let ec = files.pair("p256", &[&EC[..], &["ec_paramgen_curve:P-256"]].concat());
        let certificate = |(private, _): &(PathBuf, PathBuf), name: &str| {
            let path = files.path(name);
            let (key, out) = (private.to_str().unwrap(), path.to_str().unwrap());
            Files::openssl(&["req", "-x509", "-new", "-subj", "/CN=a", "-key", key, "-out", out]);
            path
        };
        let bare = files.path("bare");
        let (public, out) = (rsa.1.to_str().unwrap(), bare.to_str().unwrap());
        Files::openssl(&["rsa", "-pubin", "-in", public, "-RSAPublicKey_out", "-out", out]);
        for (method, private, public) in [
            ("RS256", &rsa.0, certificate(&rsa, "rsa.crt")),
            ("PS512", &rsa.0, bare),
            ("ES256", &ec.0, certificate(&ec, "ec.crt")),
        ] {
            let token = open(method, Some(private), Some(&public)).unwrap().sign("u", 7).unwrap();
            let verifies = open(method, None, Some(&public)).unwrap();
            assert_eq!(verifies.verify(&token), Some(("u".into(), 7)), "{method}");
        }
        for (method, public) in [("ES256", &rsa.1), ("RS256", &ec.1), ("RS256", &rsa.0), ("EdDSA", &ec.1)] {
            let error = open(method, None, Some(public));
            assert!(matches!(error, Err(OptionsError::BadKey { .. })), "{method}");
        }
    }

    fn shared() -> (Files, WebTokens) {
        let files = Files::new();
        std::fs::write(files.path("secret"), "a shared secret").unwrap();
        let tokens = open("HS256", Some(&files.path("secret")), None).unwrap();
        (files, tokens)
    }

    fn signed(tokens: &WebTokens, head: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        tokens.signed(&message).unwrap()
    }

    const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn what_is_forged_or_expired_is_no_token() {
        let (files, tokens) = shared();
        let claims = r#"{"username":"u","revision":3,"exp":4102444800}"#;
        assert_eq!(tokens.verify(&signed(&tokens, HEAD, claims)), Some(("u".into(), 3)));
        // No `exp`: as in etcd it does not expire.
        assert!(tokens.verify(&signed(&tokens, HEAD, r#"{"username":"u","revision":3}"#)).is_some());
        for (head, claims) in [
            (HEAD, r#"{"username":"u","revision":3,"exp":1}"#),
            (HEAD, r#"{"username":"u","revision":3,"nbf":4102444800}"#),
            (HEAD, r#"{"username":7,"revision":3}"#),
            (HEAD, r#"{"username":"u"}"#),
            (HEAD, "x"),
            (r#"{"alg":"none"}"#, claims),
            (r#"{"alg":"HS384"}"#, claims),
            (r#"{}"#, claims),
        ] {
            assert_eq!(tokens.verify(&signed(&tokens, head, claims)), None, "{head} {claims}");
        }
        let token = tokens.sign("u", 3).unwrap();
        let (message, _) = token.rsplit_once('.').unwrap();
        std::fs::write(files.path("other"), "another secret").unwrap();
        let other = open("HS256", Some(&files.path("other")), None).unwrap();
        let none =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims));
        for forged in ["", ".", "..", message, &format!("{message}."), &none, &other.sign("u", 3).unwrap()] {
            assert_eq!(tokens.verify(forged), None, "{forged}");
        }
    }

    /// A public key is no secret: whoever knows it must not be able to use it as one.
    #[test]
    fn a_public_key_is_not_taken_for_a_shared_secret() {
        let files = Files::new();
        let (private, public) = files.pair("p256", &[&EC[..], &["ec_paramgen_curve:P-256"]].concat());
        let tokens = open("ES256", Some(&private), None).unwrap();
        let forger = open("HS256", Some(&public), None).unwrap();
        assert_eq!(tokens.verify(&forger.sign("root", 1).unwrap()), None);
    }
}
