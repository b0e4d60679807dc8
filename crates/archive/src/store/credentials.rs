//! Who the archive's writer is to an S3 store: from a file, or from the environment.
//!
//! They are read anew for each attempt, so that what rotates them need not restart a member.

use std::path::{Path, PathBuf};

use crate::StoreError;

/// Access key, secret key and, for those that expire, a session token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `aws_access_key_id`.
    pub key: String,
    /// `aws_secret_access_key`.
    pub secret: String,
    /// `aws_session_token`.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads a file of AWS's form if one is named, and else the environment.
    ///
    /// # Errors
    /// [`StoreError::Credentials`], which says what is missing where.
    pub fn load(file: Option<&PathBuf>) -> Result<Self, StoreError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(path) = file else {
            return Self::of(|name| variable(&name.to_ascii_uppercase())).ok_or_else(|| {
                let what = "there are no credentials for the S3 store: set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY, or name a file";
                StoreError::Credentials(what.to_owned())
            });
        };
        let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        Self::of_file(path, &profile)
    }

    fn of_file(path: &Path, profile: &str) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(StoreError::io("read", path))?;
        let section = section(&text, profile);
        Self::of(|name| {
            section.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
        .ok_or_else(|| {
            let path = path.display();
            StoreError::Credentials(format!(
                "{path} has no aws_access_key_id and aws_secret_access_key in its section [{profile}]"
            ))
        })
    }

    fn of(value: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            key: value("aws_access_key_id")?,
            secret: value("aws_secret_access_key")?,
            token: value("aws_session_token"),
        })
    }
}

/// The lines `name = value` of a section.
fn section<'t>(text: &'t str, name: &str) -> Vec<(&'t str, &'t str)> {
    let mut is_wanted = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_wanted = title.trim() == name;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_wanted) {
            found.push((key.trim(), value.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[default]\naws_access_key_id = AK\naws_secret_access_key=s=/+\n\n[ other ]\n\
        aws_access_key_id=B\naws_secret_access_key=t\naws_session_token = tok\n[half]\naws_access_key_id=C\n";

    #[test]
    fn a_file_has_sections() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        std::fs::write(&path, FILE).unwrap();
        let of = |profile| Credentials::of_file(&path, profile);
        let credentials = |key: &str, secret: &str, token: Option<&str>| Credentials {
            key: key.into(),
            secret: secret.into(),
            token: token.map(str::to_owned),
        };
        assert_eq!(of("default").unwrap(), credentials("AK", "s=/+", None));
        assert_eq!(of("other").unwrap(), credentials("B", "t", Some("tok")));
        for profile in ["half", "none"] {
            assert!(of(profile).unwrap_err().to_string().ends_with(&format!("[{profile}]")));
        }
        assert!(!format!("{:?}", of("other").unwrap()).contains("tok"));
    }
}
