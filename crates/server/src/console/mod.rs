//! The web console: pages for operators, under `/console/` of the client addresses.
//!
//! The console is a handful of files that are part of the binary. Its scripts are plain modules, without a library and
//! without anything that has to be built. They run in the browser and call the JSON gateway (`/v3/`) as any other program
//! would: what a person may see and change there is decided by the same permissions, and nothing here knows a key, a user
//! or a password.
//!
//! * [`files`]: the files, and what they are called;
//! * [`visibility`]: who gets them;
//! * [`policy`]: the headers with which a browser refuses everything that is not the console's own.
//!
//! ```text
//!  browser ── GET /console/… ──► respond: visibility ──► files + policy
//!     └────── POST /v3/… ──────► gateway, with the person's own token
//! ```

mod files;
mod policy;
mod visibility;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;

use self::files::File;
use crate::config::Console;
use crate::http::{Body, encoding};

/// What of the member the console's answers depend on.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// `--console`.
    pub(crate) console: Console,
    /// Whether requests need a user.
    pub(crate) is_auth_enabled: bool,
    /// The client URLs of all members: the pages ask the others for their status.
    pub(crate) client_urls: Vec<String>,
}

/// Returns whether a path is the console's.
pub(crate) fn serves(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

/// Answers a request for a path that [`serves`] has let through.
pub(crate) async fn respond(head: &Parts, surroundings: &Surroundings) -> Response<Body> {
    if let Err(refusal) = visibility::check(head, surroundings) {
        return text(refusal.status(), &refusal.to_string());
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(name) = head.uri.path().strip_prefix("/console/") else {
        return to_the_first_page();
    };
    let Some(file) = files::named(name) else {
        return text(StatusCode::NOT_FOUND, "404 page not found");
    };
    let mut response = content(head, file).await;
    policy::apply(&mut response, &surroundings.client_urls);
    if head.method == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    response
}

/// Names of files are relative to `/console/`, so the browser has to be there.
fn to_the_first_page() -> Response<Body> {
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/console/"));
    response
}

/// Returns a file, or that the browser has it already.
async fn content(head: &Parts, file: &'static File) -> Response<Body> {
    let packed = encoding::takes_gzip(&head.headers);
    let tag = file.tag(packed);
    let mut response = if has_already(head, &tag) {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let body = if packed { file.packed().await } else { Bytes::from_static(file.bytes) };
        let length = body.len();
        let mut response = Response::new(Body::new(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // Kept, but asked about each time: after an upgrade no script of the old version meets a page of the new one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Returns whether the request names this tag as one that it has (RFC 9110, section 13.1.2).
fn has_already(head: &Parts, tag: &HeaderValue) -> bool {
    let values = head.headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
