//! A bucket of an S3-compatible store.
//!
//! Requests are signed in their URLs, which every such store takes. A long object goes in parts,
//! each of which is tried several times, and appears when the last of them is there. Parts of an
//! upload that nobody finishes are not seen in any list, and cost their room until a rule of the
//! bucket removes them.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use rusty_s3::actions::{CompleteMultipartUploadResponse, CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, S3Action, UrlStyle};

use super::http::{Answer, Call, Client};
use super::{Credentials, Listed, Stop, Store, Upload};
use crate::StoreError;
use crate::limits::{OBJECTS_MAX, PART_ATTEMPTS, PART_BYTES, PARTS_MAX};

/// How long a signed URL counts.
const SIGNED_FOR: Duration = Duration::from_secs(3_600);

/// Where a bucket is, and how it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// URL of the store; `None`: that of AWS in the region.
    pub endpoint: Option<String>,
    /// The region; `None`: that of the environment, or `us-east-1`.
    pub region: Option<String>,
    /// File with the credentials; `None`: the environment has them.
    pub credentials_file: Option<PathBuf>,
    /// CAs that sign the store's certificate; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// A bucket as a store.
pub struct S3 {
    client: Client,
    bucket: Bucket,
    prefix: String,
    credentials_file: Option<PathBuf>,
}

impl S3 {
    /// A bucket, which must exist.
    ///
    /// # Errors
    /// If the endpoint is no URL, or the CAs cannot be read.
    pub fn new(bucket: &str, prefix: &str, options: &Options, stop: Stop) -> Result<Self, StoreError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = options.region.clone();
        let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = options.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL"));
        // Stores of other makers seldom have a name for each bucket.
        let is_name = !bucket.contains('.') && bucket.bytes().all(|byte| !byte.is_ascii_uppercase());
        let style = if endpoint.is_none() && is_name { UrlStyle::VirtualHost } else { UrlStyle::Path };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let wrong = |why: String| StoreError::Tls(format!("{endpoint:?} is no endpoint of S3: {why}"));
        let url = endpoint.parse().map_err(|_| wrong("it is no URL".to_owned()))?;
        let bucket = Bucket::new(url, style, bucket.to_owned(), region);
        let bucket = bucket.map_err(|error| wrong(error.to_string()))?;
        let client = Client::new(options.ca_file.as_ref(), stop)?;
        let credentials_file = options.credentials_file.clone();
        Ok(Self { client, bucket, prefix: prefix.to_owned(), credentials_file })
    }

    fn key(&self, directory: &str, name: &str) -> String {
        match &self.prefix {
            prefix if prefix.is_empty() => format!("{directory}/{name}"),
            prefix => format!("{prefix}/{directory}/{name}"),
        }
    }

    fn what(&self, verb: &str, key: &str) -> String {
        format!("{verb} s3://{}/{key}", self.bucket.name())
    }

    fn credentials(&self) -> Result<rusty_s3::Credentials, StoreError> {
        let Credentials { key, secret, token } = Credentials::load(self.credentials_file.as_ref())?;
        Ok(match token {
            Some(token) => rusty_s3::Credentials::new_with_token(key, secret, token),
            None => rusty_s3::Credentials::new(key, secret),
        })
    }

    /// Makes a request that an action signs.
    fn call<'a>(
        &self,
        (method, what): (Method, String),
        action: &impl S3Action<'a>,
        body: Bytes,
    ) -> Result<Answer, StoreError> {
        let url = action.sign(SIGNED_FOR).to_string();
        self.client.call(Call { what, method, url, body })
    }

    /// Goes through the answers to a list.
    fn for_each_page(
        &self,
        prefix: &str,
        mut take: impl FnMut(rusty_s3::actions::ListObjectsV2Response) -> usize,
    ) -> Result<(), StoreError> {
        let (mut token, mut count): (Option<String>, usize) = (None, 0);
        loop {
            let credentials = self.credentials()?;
            let mut action = self.bucket.list_objects_v2(Some(&credentials));
            action.with_prefix(prefix);
            action.with_delimiter("/");
            if let Some(token) = &token {
                action.with_continuation_token(token.as_str());
            }
            let what = self.what("list", prefix);
            let answer = self.call((Method::GET, what.clone()), &action, Bytes::new())?;
            let parsed = ListObjectsV2::parse_response(&String::from_utf8_lossy(&answer.body));
            let nonsense = |why: String| StoreError::Answer { what: what.clone(), why };
            let page = parsed.map_err(|error| nonsense(error.to_string()))?;
            let next = page.next_continuation_token.clone();
            count += take(page);
            if count > OBJECTS_MAX {
                return Err(nonsense(format!("more than {OBJECTS_MAX} objects")));
            }
            match next {
                Some(next) if Some(&next) == token.as_ref() => {
                    return Err(nonsense("the list does not go on".to_owned()));
                }
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Does something that can be done again, until it succeeds or has been tried often.
    fn persist<T>(&self, mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
        for tried in 1.. {
            match attempt() {
                Err(error) if error.is_passing() && tried < PART_ATTEMPTS => {
                    self.client.pause(Duration::from_secs(1 << tried))?;
                }
                done => return done,
            }
        }
        unreachable!("the last attempt returns")
    }
}

impl Store for S3 {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    fn directories(&self) -> Result<Vec<String>, StoreError> {
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let mut found = Vec::new();
        self.for_each_page(&prefix, |page| {
            let names = page.common_prefixes.iter().filter_map(|common| {
                let name = common.prefix.strip_prefix(&prefix)?.strip_suffix('/')?;
                Some(name.to_owned())
            });
            found.extend(names);
            page.common_prefixes.len() + page.contents.len()
        })?;
        Ok(found)
    }

    fn list(&self, directory: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = self.key(directory, "");
        let mut found = Vec::new();
        self.for_each_page(&prefix, |page| {
            let count = page.contents.len();
            found.extend(page.contents.into_iter().filter_map(|object| {
                let name = object.key.strip_prefix(&prefix)?.to_owned();
                Some(Listed { name, bytes: object.size.unwrap_or(0) })
            }));
            count
        })?;
        Ok(found)
    }

    fn begin<'s>(
        &'s self,
        directory: &str,
        name: &str,
        bytes: u64,
    ) -> Result<Box<dyn Upload + 's>, StoreError> {
        let part_bytes = (bytes / PARTS_MAX + 1).max(PART_BYTES as u64) as usize;
        let key = self.key(directory, name);
        Ok(Box::new(Parts {
            store: self,
            key,
            part_bytes,
            part: Vec::new(),
            upload: None,
            etags: Vec::new(),
        }))
    }

    fn read<'s>(&'s self, directory: &str, name: &str) -> Result<Box<dyn Read + 's>, StoreError> {
        let key = self.key(directory, name);
        let credentials = self.credentials()?;
        let url = self.bucket.get_object(Some(&credentials), &key).sign(SIGNED_FOR).to_string();
        let what = self.what("GET", &key);
        Ok(Box::new(self.client.open(Call { what, method: Method::GET, url, body: Bytes::new() })?))
    }

    fn delete(&self, directory: &str, name: &str) -> Result<(), StoreError> {
        let key = self.key(directory, name);
        let credentials = self.credentials()?;
        let action = self.bucket.delete_object(Some(&credentials), &key);
        match self.call((Method::DELETE, self.what("DELETE", &key)), &action, Bytes::new()) {
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sweep(&self, _directory: &str, _age: Duration) -> Result<(), StoreError> {
        Ok(())
    }
}

/// An object that goes in parts, or in one request if it is short.
struct Parts<'s> {
    store: &'s S3,
    key: String,
    part_bytes: usize,
    /// What is in no request yet.
    part: Vec<u8>,
    /// The upload's id, once it has begun.
    upload: Option<String>,
    /// What the store said of each part.
    etags: Vec<String>,
}

impl Parts<'_> {
    fn begin(&mut self) -> Result<String, StoreError> {
        if let Some(upload) = &self.upload {
            return Ok(upload.clone());
        }
        let what = self.store.what("begin", &self.key);
        let answer = self.store.persist(|| {
            let credentials = self.store.credentials()?;
            let action = self.store.bucket.create_multipart_upload(Some(&credentials), &self.key);
            self.store.call((Method::POST, what.clone()), &action, Bytes::new())
        })?;
        let parsed = CreateMultipartUpload::parse_response(&String::from_utf8_lossy(&answer.body));
        let parsed = parsed.map_err(|error| StoreError::Answer { what, why: error.to_string() })?;
        let upload = parsed.upload_id().to_owned();
        self.upload = Some(upload.clone());
        Ok(upload)
    }

    /// Sends a part.
    fn send(&mut self) -> Result<(), StoreError> {
        let upload = self.begin()?;
        let body = Bytes::from(std::mem::take(&mut self.part));
        let number = u16::try_from(self.etags.len() + 1).unwrap_or(u16::MAX);
        let what = self.store.what(&format!("PUT part {number} of"), &self.key);
        let answer = self.store.persist(|| {
            let credentials = self.store.credentials()?;
            let action = self.store.bucket.upload_part(Some(&credentials), &self.key, number, &upload);
            self.store.call((Method::PUT, what.clone()), &action, body.clone())
        })?;
        let etag = answer.headers.get(http::header::ETAG).and_then(|etag| etag.to_str().ok());
        let why = "it names no ETag".to_owned();
        self.etags.push(etag.ok_or(StoreError::Answer { what, why })?.to_owned());
        Ok(())
    }

    fn put(&mut self) -> Result<(), StoreError> {
        let body = Bytes::from(std::mem::take(&mut self.part));
        self.store.persist(|| {
            let credentials = self.store.credentials()?;
            let action = self.store.bucket.put_object(Some(&credentials), &self.key);
            self.store.call((Method::PUT, self.store.what("PUT", &self.key)), &action, body.clone())
        })?;
        Ok(())
    }

    fn complete(&mut self) -> Result<(), StoreError> {
        let upload = self.begin()?;
        let what = self.store.what("complete", &self.key);
        let credentials = self.store.credentials()?;
        let etags = || self.etags.iter().map(String::as_str);
        let action =
            self.store.bucket.complete_multipart_upload(Some(&credentials), &self.key, &upload, etags());
        let body = action.clone().body();
        let answer = self.store.call((Method::POST, what.clone()), &action, body.into())?;
        // A store may find out that it cannot after it has answered with success.
        CompleteMultipartUploadResponse::parse(&String::from_utf8_lossy(&answer.body))
            .map_err(|error| StoreError::Answer { what, why: error.to_string() })?;
        self.upload = None;
        Ok(())
    }
}

impl Upload for Parts<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = self.part_bytes - self.part.len();
            let (taken, rest) = bytes.split_at(room.min(bytes.len()));
            self.part.extend_from_slice(taken);
            bytes = rest;
            if self.part.len() == self.part_bytes {
                self.send()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        if self.upload.is_none() {
            return self.put();
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        self.complete()
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let Ok(credentials) = self.store.credentials() else { return };
        let action = self.store.bucket.abort_multipart_upload(Some(&credentials), &self.key, &upload);
        // One try: what it leaves is for the bucket's rule.
        let _ = self.store.call((Method::DELETE, self.store.what("abort", &self.key)), &action, Bytes::new());
    }
}
