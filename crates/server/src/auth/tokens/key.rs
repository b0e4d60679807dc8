//! How web tokens are signed: methods and keys.

use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::options::{OptionsError, WebOptions};

/// How a token is signed, by the names of RFC 7518. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

use Method::{EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

/// What kind of key a method takes, with what the library has for it.
#[derive(Clone, Copy)]
enum Family {
    Hmac(hmac::Algorithm),
    Rsa(&'static dyn sig::RsaEncoding, &'static dyn sig::VerificationAlgorithm),
    Ecdsa(&'static sig::EcdsaSigningAlgorithm, &'static dyn sig::VerificationAlgorithm),
    Ed25519,
}

impl Method {
    const ALL: [(Self, &'static str); 13] = [
        (Hs256, "HS256"),
        (Hs384, "HS384"),
        (Hs512, "HS512"),
        (Rs256, "RS256"),
        (Rs384, "RS384"),
        (Rs512, "RS512"),
        (Ps256, "PS256"),
        (Ps384, "PS384"),
        (Ps512, "PS512"),
        (Es256, "ES256"),
        (Es384, "ES384"),
        (Es512, "ES512"),
        (EdDsa, "EdDSA"),
    ];

    /// Returns the method of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|known| known.1 == name).map(|known| known.0)
    }

    /// Returns the name in the head of a token.
    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    fn family(self) -> Family {
        match self {
            Hs256 => Family::Hmac(hmac::HMAC_SHA256),
            Hs384 => Family::Hmac(hmac::HMAC_SHA384),
            Hs512 => Family::Hmac(hmac::HMAC_SHA512),
            Rs256 => Family::Rsa(&sig::RSA_PKCS1_SHA256, &sig::RSA_PKCS1_2048_8192_SHA256),
            Rs384 => Family::Rsa(&sig::RSA_PKCS1_SHA384, &sig::RSA_PKCS1_2048_8192_SHA384),
            Rs512 => Family::Rsa(&sig::RSA_PKCS1_SHA512, &sig::RSA_PKCS1_2048_8192_SHA512),
            Ps256 => Family::Rsa(&sig::RSA_PSS_SHA256, &sig::RSA_PSS_2048_8192_SHA256),
            Ps384 => Family::Rsa(&sig::RSA_PSS_SHA384, &sig::RSA_PSS_2048_8192_SHA384),
            Ps512 => Family::Rsa(&sig::RSA_PSS_SHA512, &sig::RSA_PSS_2048_8192_SHA512),
            Es256 => Family::Ecdsa(&sig::ECDSA_P256_SHA256_FIXED_SIGNING, &sig::ECDSA_P256_SHA256_FIXED),
            Es384 => Family::Ecdsa(&sig::ECDSA_P384_SHA384_FIXED_SIGNING, &sig::ECDSA_P384_SHA384_FIXED),
            Es512 => Family::Ecdsa(&sig::ECDSA_P521_SHA512_FIXED_SIGNING, &sig::ECDSA_P521_SHA512_FIXED),
            EdDsa => Family::Ed25519,
        }
    }
}

/// A key that makes signatures.
enum Signer {
    Rsa(RsaKeyPair, &'static dyn sig::RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// What checks signatures, and perhaps makes them.
enum Keys {
    Shared(Box<hmac::Key>),
    Pair { public: ParsedPublicKey, private: Option<Signer> },
}

/// A method with its keys.
pub(super) struct Key {
    pub(super) method: Method,
    keys: Keys,
}

impl Key {
    /// Reads the key files.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub(super) fn open(options: &WebOptions) -> Result<Self, OptionsError> {
        let method = options.method;
        let keys = match method.family() {
            Family::Hmac(algorithm) => {
                let path = options.private_key.as_deref().ok_or(OptionsError::MissingKey)?;
                let secret = read(path)?;
                if secret.is_empty() {
                    return Err(OptionsError::MissingKey);
                }
                Keys::Shared(Box::new(hmac::Key::new(algorithm, &secret)))
            }
            family => pair(family, options)?,
        };
        Ok(Self { method, keys })
    }

    /// Returns a key of the method `HS256` with this secret.
    pub(super) fn shared(secret: &[u8]) -> Self {
        Self { method: Hs256, keys: Keys::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))) }
    }

    /// Returns whether the signature is one of this key's.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.keys {
            Keys::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Keys::Pair { public, .. } => public.verify_sig(message, signature).is_ok(),
        }
    }

    /// Returns whether there is no private key.
    pub(super) fn is_verify_only(&self) -> bool {
        matches!(self.keys, Keys::Pair { private: None, .. })
    }

    /// Returns a signature; `None` if there is no private key or it fails.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.keys {
            Keys::Shared(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Keys::Pair { private, .. } => private.as_ref()?.sign(message),
        }
    }
}

impl Signer {
    fn open(family: Family, path: &Path) -> Result<Self, OptionsError> {
        let text = read(path)?;
        let bad = |kind| OptionsError::BadKey { path: path.to_owned(), kind };
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| bad("private"))?;
        match (family, &key) {
            (Family::Rsa(encoding, _), PrivateKeyDer::Pkcs1(key)) => {
                let pair = RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(|_| bad("RSA"))?;
                Ok(Self::Rsa(pair, encoding))
            }
            (Family::Rsa(encoding, _), PrivateKeyDer::Pkcs8(key)) => {
                let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| bad("RSA"))?;
                Ok(Self::Rsa(pair, encoding))
            }
            (Family::Ecdsa(algorithm, _), key) => {
                let der = key.secret_der();
                let pair = EcdsaKeyPair::from_private_key_der(algorithm, der)
                    .or_else(|_| EcdsaKeyPair::from_pkcs8(algorithm, der));
                Ok(Self::Ecdsa(pair.map_err(|_| bad("EC"))?))
            }
            (Family::Ed25519, PrivateKeyDer::Pkcs8(key)) => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
                Ok(Self::Ed25519(pair.map_err(|_| bad("Ed25519"))?))
            }
            _ => Err(bad("private")),
        }
    }

    /// Returns the public key to this private one, in its own shape.
    fn public(&self) -> Vec<u8> {
        use sig::KeyPair;
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_ref().to_vec(),
            Self::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn pair(family: Family, options: &WebOptions) -> Result<Keys, OptionsError> {
    let algorithm: &'static dyn sig::VerificationAlgorithm = match family {
        Family::Rsa(_, algorithm) | Family::Ecdsa(_, algorithm) => algorithm,
        Family::Ed25519 => &sig::ED25519,
        Family::Hmac(_) => return Err(OptionsError::MissingKey),
    };
    let private = options.private_key.as_deref().map(|path| Signer::open(family, path)).transpose()?;
    let named = options.public_key.as_deref().map(|path| read_public(algorithm, path)).transpose()?;
    match (named, private) {
        (None, None) => Err(OptionsError::MissingKey),
        (Some(public), None) => Ok(Keys::Pair { public, private: None }),
        (None, Some(private)) => {
            let public = ParsedPublicKey::new(algorithm, private.public());
            let public = public.map_err(|_| OptionsError::KeyMismatch)?;
            Ok(Keys::Pair { public, private: Some(private) })
        }
        (Some(public), Some(private)) => {
            // What one signs and the other takes belongs together, whatever the files look like.
            let signature = private.sign(PROBE).unwrap_or_default();
            if public.verify_sig(PROBE, &signature).is_err() {
                return Err(OptionsError::KeyMismatch);
            }
            Ok(Keys::Pair { public, private: Some(private) })
        }
    }
}

/// What is signed to see whether two keys belong together.
const PROBE: &[u8] = b"quorate";

/// Reads a public key. It may stand alone (`PUBLIC KEY`, `RSA PUBLIC KEY`) or in a certificate. As in etcd, the first block
/// of the file counts, for what it holds and not for its label.
fn read_public(
    algorithm: &'static dyn sig::VerificationAlgorithm,
    path: &Path,
) -> Result<ParsedPublicKey, OptionsError> {
    let text = read(path)?;
    let bad = || OptionsError::BadKey { path: path.to_owned(), kind: "public" };
    let (_, block) = parse_x509_pem(&text).map_err(|_| bad())?;
    let key = match X509Certificate::from_der(&block.contents) {
        Ok((_, certificate)) => ParsedPublicKey::new(algorithm, certificate.public_key().raw),
        Err(_) => ParsedPublicKey::new(algorithm, &block.contents),
    };
    key.map_err(|_| bad())
}

fn read(path: &Path) -> Result<Vec<u8>, OptionsError> {
    std::fs::read(path).map_err(|source| OptionsError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_methods_belong_together() {
        for (place, (method, name)) in Method::ALL.into_iter().enumerate() {
            assert_eq!((method as usize, method.name(), Method::of(name)), (place, name, Some(method)));
        }
        assert_eq!((Method::of("none"), Method::of("rs256"), Method::of("")), (None, None, None));
    }
}
